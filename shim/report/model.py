"""The report as a value: who still uses the old route, and whether it can go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from shim.ledger.evidence import Client
from shim.ledger.records import PhaseChange
from shim.moments import rfc3339
from shim.report.places import Place


class State(StrEnum):
    """Where a caller stands: see :mod:`shim.report.histories` for the rules."""

    ACTIVE = "active"
    QUIET = "quiet"
    MIGRATED = "migrated"
    CAME_BACK = "came_back"


class Status(StrEnum):
    """Whether the old route can go.

    ``UNPROVEN`` is silence without evidence; ``ACKNOWLEDGED`` that only callers use it, or will
    again, whom the team has said it will break.
    """

    SAFE = "safe"
    IN_USE = "in_use"
    UNPROVEN = "unproven"
    ACKNOWLEDGED = "acknowledged"


EXIT_CODES = {Status.SAFE: 0, Status.IN_USE: 3, Status.UNPROVEN: 4, Status.ACKNOWLEDGED: 5}


class MemberState(StrEnum):
    """Whether a shim records, was stopped in order, or gave no sign any more."""

    UP = "up"
    STOPPED = "stopped"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which fewer shims recorded than should have, and those that were missing.

    ``silent`` is empty where nobody knows who should have been there: before the first sign.
    """

    start: datetime
    end: datetime
    silent: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One shim that recorded in the verdict's window or in the 30 days before.

    ``requests`` is what it carried in the window besides probes, ``None`` where it was of a
    version that did not count.
    """

    instance: str
    first_seen: datetime
    last_seen: datetime
    state: MemberState
    observed_percent: float
    requests: int | None

    def as_json(self) -> dict[str, Any]:
        """Return the object of the specification."""
        return {
            "instance": self.instance,
            "first_seen": rfc3339(self.first_seen),
            "last_seen": rfc3339(self.last_seen),
            "state": self.state.value,
            "observed_percent": self.observed_percent,
            "requests": self.requests,
        }


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

    uses: int
    masked: int
    refused: int
    failed: int
    near_misses: int
    replacement_calls: int

    def as_json(self) -> dict[str, int]:
        """Return the object of the specification."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerReport:
    """One caller.  ``first_seen`` and ``last_seen`` are of its uses of the old route.

    ``modes`` and ``decisions`` add up to ``uses``; a mode that cannot be read counts as
    ``invalid``.  ``masked`` goes by the status that the new endpoint gave.  ``unreached_calls`` to
    the new endpoints were answered by no handler: they moved nobody.  ``interval`` is the time that
    typically lies between its uses, ``due`` when the next one is, as long as one is to be waited
    for.  ``moved_percent`` is the share of new calls among its calls in the verdict's window.
    ``clients`` are who uses its name, ``address_names`` what the team calls their addresses.
    ``names`` are, of those past the cap, some who are summed here.  ``places`` are where in source
    code its calls may be made.
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
    unreached_calls: int
    near_misses: int
    near_miss_kinds: dict[str, int]
    near_miss_last: datetime | None
    came_back: bool
    hint: str | None
    replacement: str | None
    user_agent: str | None
    clients: tuple[Client, ...]
    names: tuple[str, ...]
    places: tuple[Place, ...]
    address_names: Mapping[str, str]
    owner: str | None
    contact: str | None
    note: str | None
    acknowledged_until: date | None
    acknowledged: bool
    retired: date | None
    interval: timedelta | None
    due: datetime | None
    moved_percent: int | None
    days: tuple[DayCount, ...]

    @property
    def is_acute(self) -> bool:
        """Whether somebody has to look at it now: it uses the old route, and nobody tolerates it.

        Who is waited for is among them, and who only tries the new endpoints, and fails.
        """
        if self.uses and (self.state in (State.ACTIVE, State.CAME_BACK) or self.due):
            return not self.acknowledged
        return self.near_misses + self.unreached_calls > 0 and self.state is not State.MIGRATED

    @property
    def times_masked(self) -> int:
        """How often the caller was told 202 where the new endpoint says otherwise."""
        return sum(self.masked.values())

    @property
    def addresses(self) -> dict[str, int]:
        """How many of its uses came from which address, the busiest first."""
        found: dict[str, int] = {}
        for client in self.clients:
            found[client.address] = found.get(client.address, 0) + client.count
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

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
            "unreached_calls": self.unreached_calls,
            "near_misses": self.near_misses,
            "near_miss_last": _time(self.near_miss_last),
            "came_back": self.came_back,
            "due": _time(self.due),
            "hint": self.hint,
            "replacement": self.replacement,
            "addresses": self.addresses,
            "address_names": dict(self.address_names),
            "places": [place.where for place in self.places],
            "owner": self.owner,
            "contact": self.contact,
            "acknowledged_until": _day(self.acknowledged_until),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the route can go, and why.

    ``quiet_seconds`` is the time since the last use or, where there was none, since recording
    began; ``None`` where neither is known.  ``observed_percent`` and the gaps are about the
    ``window`` before the report.  ``earliest`` is when it could be ``safe`` at the earliest,
    if nobody uses the route any more and all goes on recording; ``None`` where that cannot be told.
    """

    status: Status
    reason: str
    quiet_seconds: int | None
    observed_percent: float
    longest_gap_seconds: int
    last_use: datetime | None
    window: timedelta
    earliest: datetime | None = None
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
            "earliest": _time(self.earliest),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it.  What is not in :meth:`as_json` is for the page and the people's formats.

    ``warnings`` are sentences to be read beside the verdict; ``unreadable`` counts, by address,
    requests in the verdict's window that may have been old calls and could not be read.  ``phase``
    is the last that the record tells of, ``sunset`` the day on which the route is to go.
    ``owners`` counts, by owner (``""``: none), the callers that somebody has to look at, of all.
    ``unseen_places`` in source code look like nobody's on record.
    """

    generated_at: datetime
    since: datetime | None
    owner: str | None
    owners: dict[str, int]
    totals: Totals
    instances: tuple[Member, ...]
    callers: tuple[CallerReport, ...]
    verdict: Verdict
    warnings: tuple[str, ...]
    unreadable: dict[str, int]
    recording_since: datetime | None
    coverage: tuple[DayCoverage, ...]
    phase_changes: tuple[PhaseChange, ...]
    sunset: datetime | None
    unseen_places: tuple[Place, ...]

    @property
    def phase(self) -> str | None:
        """The phase that is in force by the record."""
        return self.phase_changes[-1].phase if self.phase_changes else None

    def as_json(self) -> dict[str, Any]:
        """Return the shape shared by ``report --format json`` and ``/usage.json``."""
        return {
            "generated_at": rfc3339(self.generated_at),
            "since": _time(self.since),
            "totals": self.totals.as_json(),
            "instances": [member.as_json() for member in self.instances],
            "callers": [caller.as_json() for caller in self.callers],
            "verdict": self.verdict.as_json(),
            "warnings": list(self.warnings),
            "unreadable": self.unreadable,
            "unseen_places": [place.where for place in self.unseen_places],
        }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
