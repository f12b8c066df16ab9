"""Files with the old calls rewritten that are certain and simple."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shim.scan.diffs import diff
from shim.scan.files import File, read
from shim.scan.finding import Finding
from shim.scan.languages import languages
from shim.scan.rewriting import rewritten, still_parses
from shim.scan.scan import Scan, find_guarded

_GRAMMARS: Final = {"shell": "bash", "yaml": "yaml"}


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A file's text before and after, its mark of the order of bytes included.

    ``calls`` is how many were rewritten.
    """

    path: str
    before: str
    after: str
    calls: int

    def diff(self) -> str:
        """Return the change in the unified form, as ``git apply`` reads it."""
        return diff(self.path, self.before, self.after)

    def write(self) -> None:
        """Write the file anew."""
        Path(self.path).write_bytes(self.after.encode())


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
    before, data = got
    after, calls = before, 0
    left = _calls_in(file, before)
    # From the end, so that the places of those before stay.
    for one in sorted(findings, key=lambda one: one.edits[0].start, reverse=True):
        tried = rewritten(after, one.edits)
        if _parses_as_before(before, tried, one) and _calls_in(file, tried) == left - 1:
            after, calls, left = tried, calls + 1, left - 1
    mark = "\ufeff" if data.startswith(BOM_UTF8) else ""
    return Rewrite(path, mark + before, mark + after, calls) if calls else None


def _parses_as_before(before: str, tried: str, one: Finding) -> bool:
    language = languages().get(one.language)
    grammar = language.grammar if language else _GRAMMARS.get(one.language)
    return grammar is None or still_parses(before, tried, grammar)


def _calls_in(file: File, text: str) -> int:
    """Return how many old calls are found in a file with this text."""
    return len(find_guarded(file.shown, file.path.name, text, text.encode()).findings)
