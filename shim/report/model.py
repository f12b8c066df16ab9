"""The report as a value: who still uses the old route, and whether it can go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from shim.ledger.records import PhaseChange
from shim.moments import rfc3339


class State(StrEnum):
    """Where a caller stands: see :func:`shim.report.build.build_report` for the rules."""

    ACTIVE = "active"
    QUIET = "quiet"
    MIGRATED = "migrated"
    CAME_BACK = "came_back"


class Status(StrEnum):
    """Whether the old route can go; ``UNPROVEN`` is silence without evidence."""

    SAFE = "safe"
    IN_USE = "in_use"
    UNPROVEN = "unproven"


EXIT_CODES = {Status.SAFE: 0, Status.IN_USE: 3, Status.UNPROVEN: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time that is not proven to be observed, and the instances that were silent in it.

    ``silent`` is empty where no shim was up at all.
    """

    start: datetime
    end: datetime
    silent: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """How many uses and replacement calls one caller made on one day (UTC)."""

    day: date
    uses: int
    replacement_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCoverage:
    """Which share of one day (UTC) was observed; 1 is all of the day that has passed."""

    day: date
    observed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over all callers."""

    uses: int = 0
    masked: int = 0
    refused: int = 0
    failed: int = 0
    near_misses: int = 0
    replacement_calls: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the object of the specification."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerReport:
    """One caller.  ``first_seen`` and ``last_seen`` are of its uses of the old route.

    ``modes`` and ``decisions`` add up to ``uses``; a mode that cannot be read counts as
    ``invalid``.  ``masked`` goes by the status that the new endpoint gave.
    """

    caller: str
    caller_source: str
    state: State
    uses: int
    first_seen: datetime | None
    last_seen: datetime | None
    days_quiet: int | None
    modes: dict[str, int]
    decisions: dict[str, int]
    masked: dict[str, int]
    replacement_calls: int
    near_misses: int
    near_miss_kinds: dict[str, int]
    came_back: bool
    hint: str | None
    replacement: str | None
    user_agent: str | None
    owner: str | None
    note: str | None
    acknowledged_until: date | None
    days: tuple[DayCount, ...]

    @property
    def times_masked(self) -> int:
        """How often the caller was told 202 where the new endpoint says otherwise."""
        return sum(self.masked.values())

    def as_json(self) -> dict[str, Any]:
        """Return the object of the specification."""
        return {
            "caller": self.caller,
            "caller_source": self.caller_source,
            "state": self.state.value,
            "uses": self.uses,
            "first_seen": _time(self.first_seen),
            "last_seen": _time(self.last_seen),
            "days_quiet": self.days_quiet,
            "modes": self.modes,
            "decisions": self.decisions,
            "masked": self.masked,
            "replacement_calls": self.replacement_calls,
            "near_misses": self.near_misses,
            "came_back": self.came_back,
            "hint": self.hint,
            "replacement": self.replacement,
            "owner": self.owner,
            "acknowledged_until": _day(self.acknowledged_until),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the route can go, and why.

    ``quiet_seconds`` is the time since the last use or, where there was none, since recording
    began; ``None`` where neither is known.  ``observed_percent`` and the gaps are about the time
    from ``window_start`` to the report's.
    """

    status: Status
    reason: str
    quiet_seconds: int | None
    observed_percent: float
    longest_gap_seconds: int
    last_use: datetime | None
    window_start: datetime
    gaps: tuple[Gap, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of ``report --fail-if-used-within``."""
        return EXIT_CODES[self.status]

    def as_json(self) -> dict[str, Any]:
        """Return the object of the specification."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "quiet_seconds": self.quiet_seconds,
            "observed_percent": self.observed_percent,
            "longest_gap_seconds": self.longest_gap_seconds,
            "last_use": _time(self.last_use),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it.  What is not in :meth:`as_json` is for the page and the people's formats."""

    generated_at: datetime
    since: datetime | None
    totals: Totals
    callers: tuple[CallerReport, ...]
    verdict: Verdict
    recording_since: datetime | None
    coverage: tuple[DayCoverage, ...]
    phase_changes: tuple[PhaseChange, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the shape shared by ``report --format json`` and ``/usage.json``."""
        return {
            "generated_at": rfc3339(self.generated_at),
            "since": _time(self.since),
            "totals": self.totals.as_json(),
            "callers": [caller.as_json() for caller in self.callers],
            "verdict": self.verdict.as_json(),
        }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
