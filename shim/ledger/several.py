"""Several ledgers read as one: what stands in two of them counts once, and two shims are two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from shim.ledger.evidence import (
    CallerFacts,
    Client,
    DaySum,
    Evidence,
    Sum,
    facts_of,
    merge,
    what_is,
)
from shim.ledger.reading import read_evidence, read_records
from shim.ledger.records import OTHER, NearMiss, Record, Use
from shim.ledger.tables import schema
from shim.ledger.tables.opening import open_reader, reading, time_limit

_Client = tuple[str, str | None]


def read_all(sources: Sequence[Path | str], since: datetime | None = None) -> Evidence:
    """Read several ledgers as :func:`read_evidence` does; what stands in two of them counts once.

    So it does where the log of one shim was imported into the ledger of another.  Records are known
    by their ids, for as long as single ones are kept.
    """
    if len(sources) == 1:
        return read_evidence(sources[0], since)
    read = [(source, read_evidence(source, since)) for source in sources]
    # In whatever order they are named: what has a name of its own somewhere keeps it.
    read.sort(key=lambda one: (_past_the_cap(one[1]), str(one[0])))
    parts = [part for _, part in read]
    often = Counter(instance for source in sources for instance in _instances(source))
    shared = {instance for instance, count in often.items() if count > 1}
    seen: set[str] = set()
    for number, (source, _) in enumerate(read) if shared else ():
        doubles = _Doubles(parts[number], since)
        for kind in (Use, NearMiss):
            for record in read_records(source, kind):
                if record.instance not in shared:
                    continue
                if record.id in seen:
                    doubles.add(record)
                seen.add(record.id)
        parts[number] = doubles.taken_off()
    silent = [str(source) for source, part in read if not part.spans]
    twins = _twins(parts)
    apart = [
        _told_apart(part, twins, source) for part, (source, _) in zip(parts, read, strict=True)
    ]
    return replace(merge(apart), silent_sources=silent)


def _past_the_cap(part: Evidence) -> int:
    return sum(one.count for one in part.sums if one.caller == OTHER)


def _twins(parts: Sequence[Evidence]) -> set[str]:
    """Return the names that two shims had at a time, each with a ledger of its own."""
    latest: dict[str, tuple[datetime, int]] = {}
    twins = set()
    spans = [(span, number) for number, part in enumerate(parts) for span in part.spans]
    for span, number in sorted(spans, key=lambda one: (one[0].start, one[0].end)):
        end, of_part = latest.get(span.instance, (span.start, number))
        if of_part != number and span.start < end:
            twins.add(span.instance)
        if span.end >= end:
            latest[span.instance] = span.end, number
    return twins


def _told_apart(part: Evidence, twins: set[str], source: Path | str) -> Evidence:
    """Give shims that share their name one with their ledger's."""

    def name(instance: str) -> str:
        return f"{instance} ({source})" if instance in twins else instance

    return replace(
        part,
        spans=[replace(span, instance=name(span.instance)) for span in part.spans],
        traffic=[replace(hour, instance=name(hour.instance)) for hour in part.traffic],
    )


def _instances(source: Path | str) -> set[str]:
    with reading(source), closing(open_reader(source)) as connection, time_limit(connection):
        return set(connection.execute(select(schema.totals.c.instance).distinct()).scalars())


class _Doubles:
    """Records in ``part`` that count elsewhere already."""

    def __init__(self, part: Evidence, since: datetime | None) -> None:
        self._part = part
        self._since = since
        self._named = {(one.kind, one.caller) for one in part.sums}
        self._sums: Counter[tuple[Any, ...]] = Counter()
        self._days: Counter[tuple[Any, ...]] = Counter()
        self._clients: defaultdict[str, Counter[_Client]] = defaultdict(Counter)

    def add(self, record: Record) -> None:
        """Note one."""
        caller = record.caller
        if isinstance(record, Use):
            # Clients are not told apart by time.
            self._clients[caller][record.client_address, record.user_agent or None] += 1
        if self._since is not None and record.timestamp < self._since:
            return
        what = what_is(record)
        name = caller if (what.kind, caller) in self._named else OTHER
        self._sums[name, record.caller_source, *what] += 1
        self._days[record.timestamp.date(), name, what.kind, what.mode] += 1

    def taken_off(self) -> Evidence:
        """Return the evidence without them."""
        part = self._part
        sums = [
            replace(one, count=left)
            for one in part.sums
            if (left := one.count - _take(self._sums, _sum_key(one), one.count))
        ]
        days = [
            replace(one, count=left)
            for one in part.days
            if (left := one.count - _take(self._days, _day_key(one), one.count))
        ]
        names = {one.caller for one in sums}
        callers = {
            caller: facts_of(facts.user_agent, facts.replacement, self._clients_left(caller, facts))
            for caller, facts in part.callers.items()
            if caller in names
        }
        return replace(part, sums=sums, days=days, callers=callers)

    def _clients_left(self, caller: str, facts: CallerFacts) -> list[Client]:
        apart = {(client.address, client.user_agent) for client in facts.clients}
        gone: Counter[_Client] = Counter()
        for client, count in self._clients[caller].items():
            gone[client if client in apart else (OTHER, None)] += count
        return [
            replace(one, count=left)
            for one in facts.clients
            if (left := one.count - gone[one.address, one.user_agent]) > 0
        ]


def _sum_key(one: Sum) -> tuple[Any, ...]:
    how = (one.mode, one.decision, one.upstream_status, one.masked)
    return (one.caller, one.caller_source, one.kind, *how)


def _day_key(one: DaySum) -> tuple[Any, ...]:
    return (one.day, one.caller, one.kind, one.mode)


def _take(counts: Counter[tuple[Any, ...]], key: tuple[Any, ...], most: int) -> int:
    """Take up to ``most`` off what is counted under ``key``; return how many that was."""
    taken = min(most, counts[key])
    counts[key] -= taken
    return taken
