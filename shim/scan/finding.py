"""What is found: a place that makes the old call, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MODES: Final = ("cancel", "kill", "purge")
HANDLE: Final = {
    "cancel": "handle 404 (no such invocation) and 409 (it has completed), which 202 hid",
    "kill": "handle 404 (no such invocation) and 409 (it has completed), which 202 hid",
    "purge": "handle 404 (no such invocation) and 409 (it has not completed), which 202 hid",
    None: "handle 404 (no such invocation) and 409 (not in a state for it), which 202 hid",
}


class Confidence(StrEnum):
    """How sure it is that a place makes the old call."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"

    @property
    def rank(self) -> int:
        """Return 0 for certain, 1 for likely, 2 for possible."""
        return list(Confidence).index(self)


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from ``start`` up to ``end`` of a file's text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place.

    Lines and columns count from 1, columns in characters.  They are those of the call that names
    the method, wherever its URL stands: ``.delete(…)`` in a chain, ``.request(Method::DELETE, …)``.
    Where URL and method are given apart, it is the later of the two; where no call is in sight that
    names the method (a table, a command line, a language without a grammar), it is the URL.
    ``edits`` rewrite the place; they are empty where that is not simple.  ``in_repository`` is the
    path from the root of the repository, which is the same wherever somebody stands.
    """

    path: str
    line: int
    column: int
    language: str
    mode: str | None
    confidence: Confidence
    code: str
    replacement: str
    reason: str
    edits: tuple[Edit, ...] = ()
    in_repository: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or a part of one, that was not read, and why."""

    path: str
    reason: str
