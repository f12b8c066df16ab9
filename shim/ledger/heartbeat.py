"""The evidence that a shim was up and recording."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shim.ledger.tables import writing
from shim.ledger.tables.schema import to_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from shim.clocks import Heard
    from shim.ledger.inbox import Look

# Milliseconds between signs of a shim that claims nothing.
_SIGN_EVERY: Final = 3_600_000
# Milliseconds without a heartbeat that a slow disk may take: nothing is lost meanwhile.
_LONGEST_PAUSE: Final = 30_000
# Milliseconds by which the clock may run ahead of the monotonic one between two heartbeats: what is
# more is a step, and nobody saw the time that it skipped.
_MOST_DRIFT: Final = 1000


class Heartbeat:
    """The span in which this instance is up and recording; ``interval`` is in seconds.

    Each process begins a span of its own: nobody recorded between two of them.
    """

    def __init__(self, instance: str, interval: timedelta) -> None:
        self.instance = instance
        self.interval = interval.total_seconds()
        self._start: int | None = None
        self._seen: Look | None = None
        self._agreed: int | None = None
        self._sign: int | None = None

    def load(self, connection: Connection, now: int) -> None:
        """Let no span of an earlier process claim time that has not come yet."""
        if self._start is None:
            writing.cut_spans(connection, self.instance, now)

    def alive(self, look: Look) -> None:
        """Note that nothing was lost up to now, though nothing could be written either."""
        if self._seen is not None and _goes_on(self._seen, look):
            self._seen = look

    def broken(self) -> None:
        """Note that records were lost: the next span begins when they are kept again."""
        self._seen = None

    def beat(self, connection: Connection, look: Look, *, stopped: bool) -> None:
        """Extend the span to ``look``, or begin a new one after a pause that nothing explains.

        Where another clock shows another time, no time is claimed.
        """
        if look.heard is not None and not look.heard.agrees:
            self._doubt(connection, look, look.heard, stopped=stopped)
            return
        start, now, seen = self._start, look.moment, self._seen
        if seen is not None and now < seen.moment:
            writing.cut_spans(connection, self.instance, now)
        elif seen is None or not _goes_on(seen, look):
            start = None
        if start is None or now < start:
            start = now
        writing.write_spans(connection, [(self.instance, start, now, stopped)])
        self._start, self._seen, self._sign = start, look, None
        if look.heard is not None:
            self._agreed = to_ms(look.heard.ours)

    def _doubt(self, connection: Connection, look: Look, heard: Heard, *, stopped: bool) -> None:
        """Take back what was claimed since the clocks last agreed.

        A sign now and then, at the time that the other shows, says that somebody is here whose
        record is not to be relied on.
        """
        if self._start is not None and self._seen is not None:
            until = max(self._start, min(self._agreed or 0, self._seen.moment))
            writing.write_spans(connection, [(self.instance, self._start, until, stopped)])
        self._seen = None
        theirs = look.moment + heard.offset // timedelta(milliseconds=1)
        if self._start is None:
            # What an earlier process claimed is no longer cut by this clock.
            self._start = theirs
        if stopped or self._sign is None or theirs >= self._sign + _SIGN_EVERY:
            self._sign = theirs
            writing.write_spans(connection, [(self.instance, theirs, theirs, stopped)])


def _goes_on(seen: Look, look: Look) -> bool:
    """Tell whether the time between was no longer than may be, and went by for both clocks."""
    passed = look.moment - seen.moment
    stepped = passed - (look.at - seen.at) * 1000
    return 0 <= passed <= _LONGEST_PAUSE and stepped <= _MOST_DRIFT
