"""A second clock: what upstream says of the time, in the ``Date`` of its answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from shim.moments import rfc3339

if TYPE_CHECKING:
    # Whoever reads a record needs the constant below, and no logger.
    from structlog.typing import FilteringBoundLogger

LONGEST_SILENCE: Final = timedelta(minutes=2)
"""How long the record may be silent: a restart, a rolling update, a heartbeat that got lost.

Two clocks may be as far apart, and no further.
"""
# Seconds between answers that are asked for the time.
_EVERY: Final = 1.0


class Heard(NamedTuple):
    """What upstream's clock showed, and what ours did, ``at`` by ``time.monotonic``."""

    at: float
    theirs: datetime
    ours: datetime

    @property
    def offset(self) -> timedelta:
        """How far upstream's clock is ahead of ours."""
        return self.theirs - self.ours

    @property
    def agrees(self) -> bool:
        """Whether the clocks show the same time, near enough."""
        return abs(self.offset) <= LONGEST_SILENCE


class Witness:
    """Hears the time from upstream; says once when it is another than ours, and once when not."""

    def __init__(self, clock: Callable[[], datetime], logger: FilteringBoundLogger) -> None:
        self._clock = clock
        self._logger = logger
        self._next = 0.0
        self.heard: Heard | None = None
        """The last that was heard."""

    @property
    def agrees(self) -> bool:
        """Whether nothing that was heard speaks against our clock."""
        return self.heard is None or self.heard.agrees

    def due(self, at: float) -> bool:
        """Tell whether it is time to hear again; ``at`` by ``time.monotonic``."""
        return at >= self._next

    def hear(self, date: bytes, at: float) -> None:
        """Hear a ``Date`` (RFC 9110 section 6.6.1), or what stands in its place."""
        self._next = at + _EVERY
        try:
            theirs = parsedate_to_datetime(date.decode("latin-1")[:64]).replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return
        ours = self._clock()
        agreed = self.agrees
        self.heard = heard = Heard(at, theirs, ours)
        if agreed and not heard.agrees:
            self._logger.warning(
                "clock_disagrees",
                upstream=rfc3339(heard.theirs),
                offset_seconds=heard.offset.total_seconds(),
                hint="one of the two clocks is wrong; until they agree, "
                "no time counts as observed, and what either calls young is kept",
            )
        elif heard.agrees and not agreed:
            self._logger.info("clock_agrees", offset_seconds=heard.offset.total_seconds())
