"""A scan: every file below the paths, what was found in them, what was not read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from shim.scan.documents import Contents, find_in_file
from shim.scan.files import File, as_text, read, walk
from shim.scan.finding import Confidence, Finding, Skipped
from shim.scan.redacting import redact, redacted
from shim.scan.silencing import Silence

# How reports begin, without white space: JSON, SARIF, Markdown.
_SARIF: Final = (
    '{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0",'
    '"runs":[{"tool":{"driver":{"name":"restate-shim",'
)
MARK: Final = "<!-- restate-shim scan -->"
_REPORT: Final = re.compile(
    r'\{"findings":(?:\[\],"files":|\[\{"path":)|'
    + re.escape(_SARIF)
    + r"|##.{0,60}"
    + "".join(MARK.split())
)
_LOOKED_AT: Final = 500


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
            "findings": [_as_json(one) for one in self.findings],
            "files": self.files,
            "skipped": [{"path": as_text(one.path), "reason": one.reason} for one in self.skipped],
            "ignored": self.ignored,
        }


def _as_json(one: Finding) -> dict[str, Any]:
    path = as_text(one.path)
    fields = {
        "path": path,
        "line": one.line,
        "column": one.column,
        "language": one.language,
        "mode": one.mode,
        "confidence": str(one.confidence),
        "code": one.code,
        "replacement": one.replacement,
        "reason": one.reason,
    }
    # Only where somebody did not stand at the root.
    return fields if one.in_repository == path else fields | {"in_repository": one.in_repository}


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
        if _REPORT.match("".join(text[:_LOOKED_AT].split())):
            # A baseline, or what a run before has left: it would be found anew each time.
            skipped.append(Skipped(file.shown, "a report of a scan"))
            continue
        contents = find_guarded(file.shown, file.path.name, text, data)
        skipped += contents.skipped
        found = [one for one in contents.findings if one.confidence.rank <= least.rank]
        if not found:
            continue
        silence = Silence(text)
        left = [one for one in found if not silence.holds(one)]
        ignored += len(found) - len(left)
        findings += [replace(redacted(one), in_repository=file.in_repository) for one in left]
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


def without_known(found: Scan, baseline: str) -> Scan:
    """Return what a report from before does not have. Lines may have moved since.

    A finding is known by its path in the repository, its code and its mode; as often as it was
    there before.
    """
    try:
        known: Counter[tuple[str, str, str]] = Counter(
            _key(one.get("in_repository") or one["path"], one["code"], one["mode"])
            for one in json.loads(baseline)["findings"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BaselineError("is no JSON report of a scan") from None
    new = []
    for one in found.findings:
        key = _key(one.in_repository, one.code, one.mode)
        if known[key] > 0:
            known[key] -= 1
        else:
            new.append(one)
    return Scan(tuple(new), found.files, found.skipped, found.ignored)


def _key(path: str, code: str, mode: str | None) -> tuple[str, str, str]:
    # Reports of versions before hold credentials.
    return Path(path).as_posix().removeprefix("./"), " ".join(redact(code).split()), mode or ""
