"""Files with the old calls rewritten that are certain and simple."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shim.scan.files import File, read
from shim.scan.finding import Finding
from shim.scan.languages import languages
from shim.scan.rewriting import rewritten, still_parses
from shim.scan.scan import Scan, find_guarded

_GRAMMARS: Final = {"shell": "bash", "yaml": "yaml"}


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A file before and after; ``calls`` is how many were rewritten."""

    path: str
    before: str
    after: str
    calls: int

    def diff(self) -> str:
        """Return the change in the unified form, as ``git apply`` reads it."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            f"a/{self.path.lstrip('/')}",
            f"b/{self.path.lstrip('/')}",
        )
        text = ""
        for line in lines:
            text += line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        return text

    def write(self) -> None:
        """Write the file anew, with its mark of the order of bytes and its ends of lines kept."""
        path = Path(self.path)
        mark = b"\xef\xbb\xbf" if path.read_bytes().startswith(b"\xef\xbb\xbf") else b""
        path.write_bytes(mark + self.after.encode())


def rewrites(found: Scan) -> Iterator[Rewrite]:
    """Return the files that can be rewritten; each is read, parsed and scanned again."""
    by_path: dict[str, list[Finding]] = {}
    for one in found.findings:
        if one.edits:
            by_path.setdefault(one.path, []).append(one)
    for path, findings in by_path.items():
        rewrite = _rewrite(path, findings)
        if rewrite is not None:
            yield rewrite


def _rewrite(path: str, findings: list[Finding]) -> Rewrite | None:
    file = File(path, Path(path))
    got = read(file)
    if isinstance(got, str) or file.path.is_symlink():
        return None
    before, _ = got
    after, calls = before, 0
    # From the end, so that the places of those before stay.
    for one in sorted(findings, key=lambda one: one.edits[0].start, reverse=True):
        tried = rewritten(after, one.edits)
        if _is_sound(before, after, tried, one, file):
            after, calls = tried, calls + 1
    return Rewrite(path, before, after, calls) if calls else None


def _is_sound(before: str, now: str, tried: str, one: Finding, file: File) -> bool:
    """Tell whether a rewritten file parses as well as before, and no longer makes the call."""
    language = languages().get(one.language)
    grammar = language.grammar if language else _GRAMMARS.get(one.language)
    if grammar is None:
        # A command within a file that has no grammar here.
        sound = still_parses(one.code, one.replacement, "bash")
    else:
        sound = still_parses(before, tried, grammar)
    if not sound:
        return False
    count = len(find_guarded(file.shown, file.path.name, now, now.encode()).findings)
    left = find_guarded(file.shown, file.path.name, tried, tried.encode())
    return len(left.findings) == count - 1
