"""How a call to the old route went: what the recorder makes its record from."""

from __future__ import annotations

from typing import NamedTuple

from shim.ledger.records import Decision


class Outcome(NamedTuple):
    """What was decided, what upstream said to it, and what the caller is told.

    ``upstream_seconds`` is how long upstream took to begin its answers, in all.  ``masked`` and
    ``announced`` are those of :class:`~shim.ledger.records.Use`.
    """

    decision: Decision
    status: int
    upstream_status: int | None = None
    upstream_seconds: float = 0.0
    masked: bool = False
    announced: bool = False
    error: str | None = None
