"""Versions that make the old call: the restate CLI before 1.5, the server (its web UI) likewise."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from shim.scan.finding import Confidence, Finding
from shim.scan.languages import languages
from shim.scan.nodes import Lines
from shim.scan.variables import Variables

_FILE: Final = files("shim.scan") / "rules" / "pins.toml"
_WHY: Final = {
    "cli": "the restate CLI before 1.5 makes the old call: upgrade to 1.5 or later",
    "server": "the web UI of Restate before 1.5 makes the old call: upgrade to 1.5 or later",
}
_MOST_CODE: Final = 400
_MOST_BEFORE: Final = 1_000
_COMMENT: Final = re.compile(r"^\s{0,80}(?:#|//|/?\*)")
_COMMAND: Final = re.compile(
    r"(?<![\w-])(?:npm|npx|pnpm|yarn|bun|bunx|docker|podman|nerdctl|brew|cargo|curl|wget|helm|mise|asdf|"
    r"FROM|image:)\s"
)


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to pin a version, with examples of what it finds and passes over."""

    name: str
    what: str
    pattern: str
    replacement: str
    finds: tuple[str, ...]
    passes: tuple[str, ...]


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them, and the first version that makes the new call."""

    below: tuple[int, int]
    pin: tuple[Pin, ...]


@cache
def pins() -> Pins:
    """Return the pins, as ``rules/pins.toml`` has them."""
    return msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), Pins)


@cache
def _compiled() -> tuple[tuple[Pin, re.Pattern[str]], ...]:
    return tuple((pin, re.compile(pin.pattern)) for pin in pins().pin)


def find_pins(path: str, text: str, language: str, prose: Sequence[str] = ()) -> Iterator[Finding]:
    """Return every version in a text that makes the old call.

    ``prose`` are the lines of Markdown, without the blocks that stand in it.
    """
    if "restate" not in text:
        return
    lines = Lines(text)
    rows = text.split("\n")
    known: set[int] = set()
    seen: set[int] = set()
    is_program = language in languages()
    for pin, pattern in _compiled():
        for found in pattern.finditer(text):
            line, column = place = lines.place(found.start("version"))
            row = rows[line - 1]
            if found.start("version") in known or not _is_old(found["version"]):
                continue
            known.add(found.start("version"))
            seen.add(line)
            before = row[max(0, column - 1 - _MOST_BEFORE) : column - 1]
            if _COMMENT.match(row) or (is_program and not _is_quoted(before)):
                continue
            told = line <= len(prose) and _is_told(prose[line - 1][:_MOST_BEFORE], before)
            yield _finding(pin, path, language, place, _code(row, column), told=told)
    if not is_program:
        yield from _by_variables(path, language, rows, seen)


def _is_quoted(before: str) -> bool:
    """Tell whether what stands before a place on a line leaves a literal open there."""
    return any(before.count(quote) % 2 for quote in "\"'`")


def _is_told(row: str, before: str) -> bool:
    """Tell whether a version is only spoken of: beside no command, in no block of its own."""
    if not row.strip() or row.startswith(("    ", "\t")):
        return False
    is_code = before.count("`") % 2 == 1
    return not is_code or _COMMAND.search(before.rpartition("`")[2]) is None


def _code(row: str, column: int) -> str:
    """Return a line, or of a long one what is around a place."""
    if len(row) <= _MOST_CODE:
        return row.strip()
    return row[max(0, column - _MOST_CODE // 2) : column + _MOST_CODE // 2].strip()


def _by_variables(path: str, language: str, rows: list[str], seen: set[int]) -> Iterator[Finding]:
    """Return versions that a variable of the file gives: ``ARG VERSION=1.4.0``."""
    variables = Variables(rows)
    for number, row in enumerate(rows, 1):
        if "restate" not in row or ("$" not in row and "{{" not in row) or _COMMENT.match(row):
            continue
        text = variables.put_in(row, number - 1).text
        for pin, pattern in _compiled():
            found = pattern.search(text)
            if found and number not in seen and _is_old(found["version"]):
                seen.add(number)
                column = len(row) - len(row.lstrip()) + 1
                yield _finding(pin, path, language, (number, column), _code(row, column))


def _is_old(version: str) -> bool:
    numbers = tuple(int(one[:9]) for one in version.split("."))
    # A major version alone goes up to the newest of it.
    return len(numbers) > 1 and numbers[:2] < pins().below


def _finding(
    pin: Pin, path: str, language: str, place: tuple[int, int], code: str, *, told: bool = False
) -> Finding:
    level = Confidence.CERTAIN if pin.what == "cli" else Confidence.LIKELY
    level = Confidence.POSSIBLE if told else level
    why = _WHY[pin.what]
    return Finding(path, *place, language, None, level, code[:_MOST_CODE], pin.replacement, why)
