"""The old route in descriptions of an API (OpenAPI), as YAML and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LONGEST_LINE: Final = 8_000
_LONGEST_PATH: Final = 400
"""Lines that the description of one path has at most."""
_PATH: Final = re.compile(
    r"^(?P<indent>\s{0,80})[\"']?(?P<path>/(?:\S{0,80}/)?invocations/\{\w{1,40}\})[\"']?\s?:"
)
_DELETE: Final = re.compile(r"^(?P<indent>\s{0,80})[\"']?delete[\"']?\s?:")
_NAME: Final = re.compile(r"(?i)delete_?invocation")


@dataclass(frozen=True, slots=True)
class Operation:
    """The operation DELETE of a path; ``at`` is where it stands.

    ``is_named`` says that it has the name that Restate gives it.
    """

    path: str
    at: int
    code: str
    is_named: bool


def find_operations(text: str) -> Iterator[Operation]:
    """Return the operations of a description that may be the old route."""
    rows = text.split("\n")
    if len(rows) < 5:
        yield from _on_one_line(text)
        return
    at = 0
    for number, row in enumerate(rows):
        found = _PATH.match(row) if len(row) < _LONGEST_LINE else None
        if found is not None:
            yield from _below(rows, number, at, found)
        at += len(row) + 1


def _below(rows: list[str], number: int, at: int, found: re.Match[str]) -> Iterator[Operation]:
    where = at
    for row in range(number + 1, min(len(rows), number + _LONGEST_PATH)):
        where += len(rows[row - 1]) + 1
        own = len(rows[row]) - len(rows[row].lstrip())
        if rows[row].strip() and own <= len(found["indent"]):
            return
        delete = _DELETE.match(rows[row])
        if delete is not None:
            named = _NAME.search("\n".join(rows[row : row + 60])) is not None
            code = f"{rows[number].strip()} {rows[row].strip()}"
            yield Operation(found["path"], where + len(delete["indent"]), code, named)
            return


def _on_one_line(text: str) -> Iterator[Operation]:
    found = _NAME.search(text)
    if found is not None and '"openapi"' in text:
        yield Operation("", found.start(), found[0], is_named=True)
