"""The shims that recorded: how each does, and whether anything came through it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from shim.ledger.evidence import Evidence, Span, Traffic
from shim.report.coverage import LOOKED_BACK, in_percent, slack_of
from shim.report.model import Member, MemberState
from shim.settings.parsers import Instances

_HOUR: Final = timedelta(hours=1)
_LONG_ENOUGH: Final = timedelta(days=1)


class Idle(NamedTuple):
    """The ``members`` that carried nothing but probes though they were up, and whether ``all``."""

    members: tuple[str, ...]
    all: bool


def idle_among(
    evidence: Evidence, start: datetime, end: datetime, instances: Instances | None
) -> Idle:
    """Find those that nobody's calls go through: their silence is that of an empty road.

    Nothing is held against an hour of a version that did not count.  A member that was there for
    less than a day, or half of a shorter window, has had no time to carry anything.  Where it is
    said how many should record, it is enough that so many carried something.
    """
    spans = _within(evidence.spans, start, end)
    requests = _requests(evidence.traffic, start, end)
    counted: defaultdict[str, set[datetime]] = defaultdict(set)
    for traffic in evidence.traffic:
        counted[traffic.instance].add(traffic.hour)
    nothing = {
        instance
        for instance, own in spans.items()
        if not requests.get(instance) and _hours(own) <= counted[instance]
    }
    long = min(_LONG_ENOUGH, (end - start) / 2)
    members = {name for name in nothing if _length(spans[name]) >= long}
    if isinstance(instances, tuple):
        members &= set(instances)
    elif instances is not None and len(spans) - len(members) >= instances:
        members = set()
    return Idle(tuple(sorted(members)), bool(spans) and len(nothing) == len(spans))


def members_of(evidence: Evidence, start: datetime, end: datetime) -> tuple[Member, ...]:
    """Return who recorded in the window or in the 30 days before, by name."""
    requests = _requests(evidence.traffic, start, end)
    count = {traffic.instance for traffic in evidence.traffic}
    everything: defaultdict[str, list[Span]] = defaultdict(list)
    for span in evidence.spans:
        if span.start <= end:
            everything[span.instance].append(span)
    within = _within(evidence.spans, start, end)
    members = []
    for instance, spans in sorted(everything.items()):
        last = max(spans, key=lambda span: (span.end, span.start))
        if last.end < start - LOOKED_BACK:
            continue
        share = _length(within.get(instance, ())) / (end - start)
        members.append(
            Member(
                instance=instance,
                first_seen=min(span.start for span in spans),
                last_seen=last.end,
                state=_state(last, end, slack_of(end - start, evidence.beat)),
                observed_percent=in_percent(share),
                requests=requests[instance] if instance in count else None,
            )
        )
    return tuple(members)


def _state(last: Span, now: datetime, slack: timedelta) -> MemberState:
    if last.stopped:
        return MemberState.STOPPED
    return MemberState.UP if now - last.end <= slack else MemberState.DARK


def _requests(traffic: Iterable[Traffic], start: datetime, end: datetime) -> Counter[str]:
    """Count by instance; one that did not count is not in it, one that carried nothing is."""
    requests: Counter[str] = Counter()
    for hour in traffic:
        if hour.hour + _HOUR > start and hour.hour <= end:
            requests[hour.instance] += hour.requests
    return requests


def _within(
    spans: Iterable[Span], start: datetime, end: datetime
) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return when each instance recorded between ``start`` and ``end``, without overlap."""
    found: defaultdict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start):
        begun, ended = max(span.start, start), min(span.end, end)
        own = found[span.instance] if begun <= ended else []
        if own and begun <= own[-1][1]:
            own[-1] = own[-1][0], max(own[-1][1], ended)
        else:
            own.append((begun, ended))
    return found


def _length(times: Sequence[tuple[datetime, datetime]]) -> timedelta:
    return sum((ended - begun for begun, ended in times), timedelta())


def _hours(times: Iterable[tuple[datetime, datetime]]) -> set[datetime]:
    """Return the beginnings of the hours that ``times`` touch."""
    hours = set()
    for begun, ended in times:
        hour = begun.replace(minute=0, second=0, microsecond=0)
        while hour <= ended:
            hours.add(hour)
            hour += _HOUR
    return hours
