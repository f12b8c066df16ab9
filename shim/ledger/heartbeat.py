"""The evidence that a shim was up and recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shim.ledger.tables import writing

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import Connection

# Milliseconds between signs of a shim that claims nothing.
_SIGN_EVERY: Final = 3_600_000
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
        self._agreed: int | None = None
        self._sign: int | None = None

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

    def beat(
        self, connection: Connection, now: int, *, stopped: bool, agreed: bool = False
    ) -> None:
        """Extend the span to ``now``, or begin a new one after a pause that nothing explains.

        ``agreed`` says that another clock shows the same time.
        """
        start, seen = self._start, self._seen
        if seen is not None and now < seen:
            writing.cut_spans(connection, self.instance, now)
            seen = now
        if start is None or seen is None or now < start or now > seen + _LONGEST_PAUSE:
            start = now
        writing.write_spans(connection, [(self.instance, start, now, stopped)])
        self._start, self._seen, self._sign = start, now, None
        if agreed:
            self._agreed = now

    def doubt(self, connection: Connection, theirs: int, *, stopped: bool) -> None:
        """Claim no time, because another clock shows ``theirs``.

        What was claimed since the two last agreed is taken back.  A sign now and then, at the time
        that the other shows, says that somebody is here whose record is not to be relied on.
        """
        if self._start is not None and self._seen is not None:
            until = max(self._start, min(self._agreed or 0, self._seen))
            writing.write_spans(connection, [(self.instance, self._start, until, stopped)])
        self._seen = None
        if self._start is None:
            # What an earlier process claimed is no longer cut by this clock.
            self._start = theirs
        if stopped or self._sign is None or theirs >= self._sign + _SIGN_EVERY:
            self._sign = theirs
            writing.write_spans(connection, [(self.instance, theirs, theirs, stopped)])
