"""A scan: every file below the paths, what was found in them, what was not read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shim.scan.documents import Contents, find_in_file
from shim.scan.files import File, read, walk
from shim.scan.finding import Confidence, Finding, Skipped

_IGNORE: Final = re.compile(r"restate-shim: ?ignore\b[ :,\t-]{0,8}(?P<reason>[^\n]{0,200})")
_COMMENT_END: Final = re.compile(r"(?:-->|\*/|#}|%>)$")
_LONGEST_LINE: Final = 4_000


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, how many files were read, and how many findings comments have silenced."""

    findings: tuple[Finding, ...]
    files: int
    skipped: tuple[Skipped, ...]
    ignored: int

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "findings": [
                {
                    "path": one.path,
                    "line": one.line,
                    "column": one.column,
                    "language": one.language,
                    "mode": one.mode,
                    "confidence": str(one.confidence),
                    "code": one.code,
                    "replacement": one.replacement,
                    "reason": one.reason,
                }
                for one in self.findings
            ],
            "files": self.files,
            "skipped": [{"path": one.path, "reason": one.reason} for one in self.skipped],
            "ignored": self.ignored,
        }


class BaselineError(ValueError):
    """A baseline that is no report of a scan."""


def scan(
    paths: Iterable[Path], least: Confidence, on_file: Callable[[File], None] = lambda _: None
) -> Scan:
    """Return what is below the paths, as sure as ``least`` or surer; each file is read once."""
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    files = ignored = 0
    for file in _each_once(paths):
        on_file(file)
        got = read(file)
        if isinstance(got, str):
            skipped.append(Skipped(file.shown, got))
            continue
        files += 1
        text, data = got
        contents = find_guarded(file.shown, file.path.name, text, data)
        skipped += contents.skipped
        found = [one for one in contents.findings if one.confidence.rank <= least.rank]
        lines = text.split("\n") if found else []
        left = [one for one in found if not _is_silenced(one, lines)]
        ignored += len(found) - len(left)
        findings += left
    return Scan(tuple(findings), files, tuple(skipped), ignored)


def find_guarded(shown: str, name: str, text: str, data: bytes) -> Contents:
    """Return what a file holds; one that the grammar's own code fails on is skipped."""
    try:
        return find_in_file(shown, name, text, data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - Rust's panics are no Exception
        return Contents(skipped=(Skipped(shown, f"cannot be parsed: {type(error).__name__}"),))


def _each_once(paths: Iterable[Path]) -> Iterator[File]:
    seen: set[Path] = set()
    for path in paths:
        for file in walk(path):
            key = file.path.absolute()
            if key not in seen:
                seen.add(key)
                yield file


def _is_silenced(finding: Finding, lines: list[str]) -> bool:
    """Tell whether a comment with a reason is on the finding's line, or on the one above."""
    last = finding.line + finding.code.count("\n")
    near = lines[max(0, finding.line - 2) : max(finding.line, 1)]
    for line in [*near, *lines[finding.line : min(last, finding.line)]]:
        found = _IGNORE.search(_COMMENT_END.sub("", line[:_LONGEST_LINE].rstrip()))
        if found and found["reason"].strip(" *-\"'`,)"):
            return True
    return False


def without_known(found: Scan, baseline: str) -> Scan:
    """Return what a report from before does not have. Lines may have moved since.

    A finding is known by its path, its code and its mode; as often as it was there before.
    """
    try:
        known: Counter[tuple[str, str, str]] = Counter(
            _key(one["path"], one["code"], one["mode"]) for one in json.loads(baseline)["findings"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BaselineError("is no JSON report of a scan") from None
    new = []
    for one in found.findings:
        key = _key(one.path, one.code, one.mode)
        if known[key] > 0:
            known[key] -= 1
        else:
            new.append(one)
    return Scan(tuple(new), found.files, found.skipped, found.ignored)


def _key(path: str, code: str, mode: str | None) -> tuple[str, str, str]:
    return Path(path).as_posix().removeprefix("./"), " ".join(code.split()), mode or ""
