"""The old route in descriptions of an API (OpenAPI), as YAML and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shim.scan.json_tree import Node

_ROUTE: Final = r"/(?:\S{0,80}/)?invocations/\{\w{1,40}\}"
_PATH: Final = re.compile(rf"^(?P<indent>\s{{0,80}})[\"']?(?P<path>{_ROUTE})[\"']?\s?:")
_DELETE: Final = re.compile(r"^(?P<indent>\s{0,80})[\"']?delete[\"']?\s?:")
# What only Restate's description has: the names of the operation, of the mode, of itself.
_NAME: Final = re.compile(r"(?i)(?:delete|terminate)_?invocation")
_MODES: Final = re.compile(
    r"(?i)\b(?:Deletion|Termination)Mode\b|\bcancel\b[^a-z]{1,40}\bkill\b[^a-z]{1,40}\bpurge\b"
)
_TITLE: Final = re.compile(r"(?i)\btitle[\"']?\s?:\s?[\"']?(?:Restate )?Admin API\b")
_MOST_ROWS: Final = 60
_MOST_CODE: Final = 4_000


@dataclass(frozen=True, slots=True)
class Operation:
    """The operation DELETE of a path; ``at`` is where it stands.

    ``is_named`` says that it has the names that Restate gives it.
    """

    path: str
    at: int
    code: str
    is_named: bool


def find_operations(text: str) -> Iterator[Operation]:
    """Return the operations of a description that may be the old route, as YAML has them."""
    rows = text.split("\n")
    named = _is_named(text)
    at = 0
    above: re.Match[str] | None = None
    for number, row in enumerate(rows):
        own = len(row) - len(row.lstrip())
        if above is not None and row.strip() and own <= len(above["indent"]):
            above = None
        delete = _DELETE.match(row) if above is not None else None
        if above is not None and delete is not None:
            near = _NAME.search("\n".join(rows[number : number + _MOST_ROWS]))
            code = f"{above.string.strip()} {row.strip()}"
            yield Operation(above["path"], at + own, code, named or near is not None)
            above = None
        above = _PATH.match(row) or above
        at += len(row) + 1


def operations_in(text: str, objects: list[Node]) -> Iterator[Operation]:
    """Return the operations of a description that may be the old route, as JSON has them."""
    named: bool | None = None
    for node in objects:
        for path, _, below in node.pairs:
            if not re.fullmatch(_ROUTE, path):
                continue
            for key, at, operation in below.pairs:
                if key == "delete":
                    named = _is_named(text) if named is None else named
                    end = min(operation.end, operation.start + _MOST_CODE)
                    near = _NAME.search(text, operation.start, end)
                    code = f'"{path}": {{ "delete": {{'
                    yield Operation(path, at, code, named or near is not None)


def _is_named(text: str) -> bool:
    return _MODES.search(text) is not None or _TITLE.search(text) is not None
