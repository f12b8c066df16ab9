"""The files of a source tree: what is to be read, and what is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

MOST_BYTES: Final = 4 * 1024 * 1024
"""A larger file is skipped: nobody writes one by hand."""

_VENDORED: Final = frozenset(
    {
        *(
            ".git",
            ".hg",
            ".svn",
            ".jj",
            "node_modules",
            "bower_components",
            "jspm_packages",
            "vendor",
        ),
        *(
            "third_party",
            "third-party",
            "site-packages",
            ".venv",
            "venv",
            ".tox",
            ".nox",
            "__pycache__",
        ),
        *(
            ".mypy_cache",
            ".ruff_cache",
            ".pytest_cache",
            ".terraform",
            ".gradle",
            ".yarn",
            ".pnpm-store",
        ),
        *("Pods", "Carthage", ".bundle", ".cargo", ".next", ".nuxt", ".svelte-kit", ".hypothesis"),
    }
)


@dataclass(frozen=True, slots=True)
class File:
    """A file to be read: its path as it is shown, and where it is."""

    shown: str
    path: Path


def walk(given: Path) -> Iterator[File]:
    """Return the files below ``given`` in order, or ``given`` itself, whatever ``.gitignore`` says.

    Symbolic links to folders are not followed: what they lead to is either below too, or elsewhere.
    """
    if not given.is_dir():
        yield File(str(given), given)
        return
    yield from _below(given, str(given), _rules_above(given))


_Rules = tuple[tuple[Path, GitIgnoreSpec], ...]


def _below(folder: Path, shown: str, rules: _Rules) -> Iterator[File]:
    rules += _rules_in(folder)
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: one.name)
    except OSError:
        yield File(shown, folder)
        return
    for entry in entries:
        path = Path(entry.path)
        name = os.path.join(shown, entry.name) if shown != "." else entry.name  # noqa: PTH118 - "./a" stays as given
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _VENDORED and not _is_ignored(path, rules, folder=True):
                yield from _below(path, name, rules)
        elif not (entry.is_symlink() and path.is_dir()) and not _is_ignored(path, rules):
            yield File(name, path)


def _rules_above(given: Path) -> _Rules:
    """Return the rules of the folders above, up to the root of the repository, if it is in one."""
    absolute = given.absolute()
    above = [absolute, *absolute.parents]
    root = next((number for number, one in enumerate(above) if (one / ".git").exists()), 0)
    found: _Rules = ()
    for folder in reversed(above[1 : root + 1]):
        found += _rules_in(folder)
    return found


def _rules_in(folder: Path) -> _Rules:
    found: _Rules = ()
    for name in (".gitignore", ".git/info/exclude"):
        try:
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            found += ((folder.absolute(), GitIgnoreSpec.from_lines(lines)),)
        except (OSError, ValueError):
            # No such file, or one that git would not read either.
            continue
    return found


def _is_ignored(path: Path, rules: _Rules, *, folder: bool = False) -> bool:
    absolute = path.absolute()
    for base, spec in reversed(rules):
        relative = absolute.relative_to(base).as_posix() + ("/" if folder else "")
        said = spec.check_file(relative).include
        if said is not None:
            return said
    return False


def read(file: File) -> tuple[str, bytes] | str:
    """Return a file's text and bytes, or why it was not read."""
    try:
        if not file.path.is_file():
            return "no file" if not file.path.is_dir() else "a folder that cannot be read"
        size = file.path.stat().st_size
        if size > MOST_BYTES:
            return f"{size:,} bytes, more than {MOST_BYTES:,}"
        data = file.path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if b"\x00" in data:
        return "binary"
    try:
        return data.decode("utf-8-sig"), data
    except UnicodeDecodeError:
        return "not UTF-8"
