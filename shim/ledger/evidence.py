"""What a report is made from, whatever it was read from: sums, days, spans of observation.

The ledger, the fleet and the JSON lines each produce one :class:`Evidence`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from shim.ledger.records import OTHER, NearMiss, PhaseChange, Record


class Kind(StrEnum):
    """What was counted."""

    USE = "use"
    NEAR_MISS = "near_miss"
    REPLACEMENT_CALL = "replacement_call"
    UNREADABLE = "unreadable"
    # A request of whatever kind that was no probe.
    CARRIED = "passed"


LEDGER_BEAT: Final = timedelta(seconds=1)
"""How often a shim writes to the ledger that it is up."""
LOG_BEAT: Final = timedelta(minutes=1)
"""How often it says so in the log."""
REACHED: Final = "reached"
"""The ``decision`` of calls to the new endpoints that a handler answered."""


class What(NamedTuple):
    """What was done, as in :class:`Sum`."""

    kind: Kind
    mode: str | None = None
    decision: str | None = None
    upstream_status: int | None = None
    masked: bool = False


def what_is(record: Record) -> What:
    """Return as what a record counts."""
    if isinstance(record, NearMiss):
        return What(Kind.NEAR_MISS, record.kind)
    decision = str(record.decision)
    return What(Kind.USE, record.mode, decision, record.upstream_status, record.masked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """How often one caller did one thing.

    ``mode``, ``decision`` and ``upstream_status`` are ``None`` where they do not apply; for a near
    miss ``mode`` holds its kind.  Of requests that could not be read ``caller`` is the address.
    """

    caller: str
    caller_source: str
    kind: Kind
    mode: str | None
    decision: str | None
    upstream_status: int | None
    masked: bool
    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySum:
    """How often one caller did one kind of thing in one mode on one day (UTC).

    ``mode`` is as in :class:`Sum`.
    """

    day: date
    caller: str
    kind: Kind
    count: int
    mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Where calls under one caller's name came from, and how often; ``last`` is the latest."""

    address: str
    user_agent: str | None
    count: int
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerFacts:
    """What the latest use of a caller showed, and who has used its name, busiest first."""

    user_agent: str | None
    replacement: str | None
    clients: tuple[Client, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How many requests besides probes one instance carried in the hour that begins at ``hour``.

    There is one, of 0 if need be, for each hour in which a shim was up that counted this.
    """

    instance: str
    hour: datetime
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One instance was up and recording from ``start`` to ``end``.

    ``stopped`` tells that it was stopped in order then: nobody expects it any more, and its silence
    is no gap by itself.  One that was not and that ended long ago is a shim that went dark.
    """

    instance: str
    start: datetime
    end: datetime
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a report needs.  Times are aware and in UTC."""

    sums: list[Sum] = field(default_factory=list)
    days: list[DaySum] = field(default_factory=list)
    callers: dict[str, CallerFacts] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    phase_changes: list[PhaseChange] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Callers past the cap, summed as ``(other)``: some of them, the latest first."""
    silent_sources: list[str] = field(default_factory=list)
    """Ledgers and logs, beside others, in which no shim shows."""
    beat: timedelta = LEDGER_BEAT
    """How often shims give a sign of life in what this was read from."""
    unwritten: list[datetime] = field(default_factory=list)
    """Since when records are in the memory of a shim alone, or were when it ended or lost them."""


MOST_CLIENTS: Final = 20
"""How many clients of a caller are told apart; the rest of them are of the address ``(other)``."""


def merge(parts: Sequence[Evidence]) -> Evidence:
    """Join evidence of different shims; what one of them recorded must be in one part only."""
    facts: dict[str, tuple[datetime, CallerFacts]] = {}
    clients: defaultdict[str, list[Client]] = defaultdict(list)
    for part in parts:
        last: dict[str, datetime] = {}
        for sum_ in part.sums:
            last[sum_.caller] = max(last.get(sum_.caller, sum_.last), sum_.last)
        for caller, fact in part.callers.items():
            clients[caller] += fact.clients
            when = last.get(caller, datetime.min.replace(tzinfo=UTC))
            if caller not in facts or facts[caller][0] < when:
                facts[caller] = when, fact
    return Evidence(
        sums=[sum_ for part in parts for sum_ in part.sums],
        days=[day for part in parts for day in part.days],
        callers={
            caller: facts_of(fact.user_agent, fact.replacement, clients[caller])
            for caller, (_, fact) in facts.items()
        },
        spans=[span for part in parts for span in part.spans],
        phase_changes=[change for part in parts for change in part.phase_changes],
        traffic=[hour for part in parts for hour in part.traffic],
        others=list(dict.fromkeys(name for part in parts for name in part.others)),
        silent_sources=[name for part in parts for name in part.silent_sources],
        beat=max((part.beat for part in parts), default=LEDGER_BEAT),
        unwritten=[moment for part in parts for moment in part.unwritten],
    )


def facts_of(
    user_agent: str | None, replacement: str | None, clients: Iterable[Client]
) -> CallerFacts:
    """Return what is known of a caller.

    ``user_agent`` is that of its latest use: it counts where nobody knows its clients, of which the
    busiest one's is the better answer.
    """
    joined = _joined(clients)
    named = [client.user_agent for client in joined if client.address != OTHER]
    return CallerFacts(
        user_agent=named[0] if named else user_agent, replacement=replacement, clients=joined
    )


def _joined(clients: Iterable[Client]) -> tuple[Client, ...]:
    """Return each client once, the busiest first, and of those that are alike the latest."""
    found: dict[tuple[str, str | None], Client] = {}
    for client in clients:
        key = client.address, client.user_agent
        known = found.get(key)
        if known is not None:
            count, last = known.count + client.count, max(known.last, client.last)
            client = replace(client, count=count, last=last)  # noqa: PLW2901 - the sum of both
        found[key] = client
    order = sorted(found.values(), key=lambda one: (-one.count, -one.last.timestamp(), one.address))
    return tuple(order[:MOST_CLIENTS])
