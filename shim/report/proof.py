"""What the silence of callers is worth: whether shims were there to hear them throughout.

Throughout allows for restarts and rolling updates and not for more: no gap longer than two minutes,
and 99.9 % of the window observed, which is 20 minutes in 14 days.  Of a short window two minutes
may be missing in all, but no more than a twentieth of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shim.clocks import LONGEST_SILENCE
from shim.report.coverage import MAY_MISS, Coverage, in_percent

_MAY_MISS_OF_SHORT: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the silence of callers is worth.

    ``idle`` shims recorded, but nothing came through them; ``lost`` records are known to be
    missing; ``unwritten`` are the moments since when records are in the memory of a shim alone, or
    were lost.
    In ``silent_sources`` no shim shows, though they were read with others.
    """

    coverage: Coverage
    recording_since: datetime | None
    idle: tuple[str, ...] = ()
    all_idle: bool = False
    lost: int = 0
    unwritten: Sequence[datetime] = ()
    silent_sources: Sequence[str] = ()

    @property
    def percent(self) -> float:
        """How much of the window was observed, rounded down: 100 is said of what is whole."""
        return in_percent(self.coverage.share)

    @property
    def has_gaps(self) -> bool:
        """Whether fewer shims recorded than should have, for longer than restarts take."""
        if self.coverage.longest_gap > LONGEST_SILENCE.total_seconds():
            return True
        window = (self.coverage.end - self.coverage.start).total_seconds()
        missing = (1 - self.coverage.share) * window
        short = min(LONGEST_SILENCE.total_seconds(), _MAY_MISS_OF_SHORT * window)
        return missing > max(MAY_MISS * window, short) + 1e-6
