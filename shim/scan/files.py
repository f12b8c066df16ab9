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
    """A file to be read: its path as it is shown, where it is, and the root of its repository."""

    shown: str
    path: Path
    root: Path | None = None

    @property
    def in_repository(self) -> str:
        """Its path from the root of its repository, or as it is shown where it is in none."""
        if self.root is None:
            return as_text(self.shown)
        return as_text(_absolute(self.path).relative_to(self.root).as_posix())


def as_text(path: str) -> str:
    """Return a path as text that any program takes; a name need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def walk(given: Path) -> Iterator[File]:
    """Return the files below ``given`` in order, or ``given`` itself, whatever ``.gitignore`` says.

    What git ignores is left out, whether somebody has added it by force or not.  Symbolic links to
    folders are not followed: what they lead to is either below too, or elsewhere.
    """
    root = _root_above(given)
    if not given.is_dir():
        yield File(str(given), given, root)
        return
    rules = _rules_above(given, root)
    if _is_ignored(given, rules, folder=True):
        # Whoever names it means it.
        rules = ()
    yield from _below(File(str(given), given, root), rules)


_Rules = tuple[tuple[Path, GitIgnoreSpec], ...]


def _below(folder: File, rules: _Rules) -> Iterator[File]:
    shown = folder.shown
    rules += _rules_in(folder.path)
    try:
        with os.scandir(folder.path) as found:
            entries = sorted(found, key=lambda one: one.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        path = Path(entry.path)
        name = os.path.join(shown, entry.name) if shown != "." else entry.name  # noqa: PTH118 - "./a" stays as given
        file = File(name, path, folder.root)
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _VENDORED and not _is_ignored(path, rules, folder=True):
                yield from _below(file, rules)
        elif not (entry.is_symlink() and path.is_dir()) and not _is_ignored(path, rules):
            yield file


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without what .. leads past, links as they are


def _root_above(given: Path) -> Path | None:
    """Return the root of the repository that a file or folder is in, if it is in one."""
    absolute = _absolute(given)
    return next((one for one in (absolute, *absolute.parents) if (one / ".git").exists()), None)


def _rules_above(given: Path, root: Path | None) -> _Rules:
    """Return the rules of the folders above, up to the root of the repository."""
    absolute = _absolute(given)
    if root is None or absolute == root:
        return ()
    found: _Rules = ()
    for folder in reversed([one for one in absolute.parents if one.is_relative_to(root)]):
        found += _rules_in(folder)
    return found


def _rules_in(folder: Path) -> _Rules:
    found: _Rules = ()
    for name in (".gitignore", ".git/info/exclude"):
        try:
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            found += ((_absolute(folder), GitIgnoreSpec.from_lines(lines)),)
        except (OSError, ValueError):
            # No such file, or one that git would not read either.
            continue
    return found


def _is_ignored(path: Path, rules: _Rules, *, folder: bool = False) -> bool:
    absolute = _absolute(path)
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
