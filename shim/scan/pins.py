"""Versions that make the old call: the restate CLI before 1.5, the server (its web UI) likewise."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from shim.scan.finding import Confidence, Finding
from shim.scan.nodes import Lines
from shim.scan.variables import Variables

_FILE: Final = files("shim.scan") / "rules" / "pins.toml"
_WHY: Final = {
    "cli": "the restate CLI before 1.5 makes the old call: upgrade to 1.5 or later",
    "server": "the web UI of Restate before 1.5 makes the old call: upgrade to 1.5 or later",
}
_LONGEST_LINE: Final = 4_000
_COMMENT: Final = re.compile(r"^\s{0,80}(?:#|//)")


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


def find_pins(path: str, text: str, language: str) -> Iterator[Finding]:
    """Return every version in a text that makes the old call."""
    lines = Lines(text)
    rows = text.split("\n")
    seen: set[int] = set()
    for pin, pattern in _compiled():
        if not re.search(r"restate", text):
            return
        for found in pattern.finditer(text):
            line, column = lines.place(found.start("version"))
            if (
                line not in seen
                and _is_old(found["version"])
                and len(rows[line - 1]) < _LONGEST_LINE
            ):
                seen.add(line)
                if not _COMMENT.match(rows[line - 1]):
                    yield _finding(pin, path, language, (line, column), rows[line - 1].strip())
    yield from _by_variables(path, language, rows, seen)


def _by_variables(path: str, language: str, rows: list[str], seen: set[int]) -> Iterator[Finding]:
    """Return versions that a variable of the file gives: ``ARG VERSION=1.4.0``."""
    variables = Variables(rows)
    for number, row in enumerate(rows, 1):
        if len(row) > _LONGEST_LINE:
            continue
        if "restate" not in row or ("$" not in row and "{{" not in row) or _COMMENT.match(row):
            continue
        text = variables.put_in(row, number - 1).text
        for pin, pattern in _compiled():
            found = pattern.search(text)
            if found and number not in seen and _is_old(found["version"]):
                seen.add(number)
                column = len(row) - len(row.lstrip()) + 1
                yield _finding(pin, path, language, (number, column), row.strip())


def _is_old(version: str) -> bool:
    numbers = tuple(int(one[:9]) for one in version.split("."))
    # A major version alone goes up to the newest of it.
    return len(numbers) > 1 and numbers[:2] < pins().below


def _finding(pin: Pin, path: str, language: str, place: tuple[int, int], code: str) -> Finding:
    level = Confidence.CERTAIN if pin.what == "cli" else Confidence.LIKELY
    return Finding(path, *place, language, None, level, code[:400], pin.replacement, _WHY[pin.what])
