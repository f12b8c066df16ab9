"""The evidence that a shim was up and recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shim.ledger.tables import writing

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import Connection

# Milliseconds without a heartbeat that a slow disk may take: nothing is lost meanwhile.
_LONGEST_PAUSE: Final = 30_000


class Heartbeat:
    """The span in which this instance is up and recording; ``interval`` is in seconds.

    Each process begins a span of its own: nobody recorded between two of them.
    """

    def __init__(self, instance: str, interval: timedelta) -> None:
        self.instance = instance
        self.interval = interval.total_seconds()
        self._start: int | None = None
        self._seen: int | None = None

    def load(self, connection: Connection, now: int) -> None:
        """Let no span of an earlier process claim time that has not come yet."""
        if self._start is None:
            writing.cut_spans(connection, self.instance, now)

    def alive(self, now: int) -> None:
        """Note that nothing was lost up to now, though nothing could be written either."""
        if self._seen is not None and self._seen <= now <= self._seen + _LONGEST_PAUSE:
            self._seen = now

    def broken(self) -> None:
        """Note that records were lost: the next span begins when they are kept again."""
        self._seen = None

    def beat(self, connection: Connection, now: int, *, stopped: bool) -> None:
        """Extend the span to ``now``, or begin a new one after a pause that nothing explains."""
        start, seen = self._start, self._seen
        if seen is not None and now < seen:
            writing.cut_spans(connection, self.instance, now)
            seen = now
        if start is None or seen is None or now < start or now > seen + _LONGEST_PAUSE:
            start = now
        writing.write_spans(connection, [(self.instance, start, now, stopped)])
        self._start, self._seen = start, now
