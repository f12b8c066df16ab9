"""Taking records that count elsewhere already off what was read."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any

from shim.ledger.evidence import CallerFacts, Client, DaySum, Evidence, Kind, Sum, facts_of
from shim.ledger.records import OTHER, Record, Use

_Client = tuple[str, str | None]


class Doubles:
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
        kind: Kind
        what: tuple[Any, ...]
        if isinstance(record, Use):
            kind = Kind.USE
            what = (record.mode, str(record.decision), record.upstream_status, record.masked)
        else:
            kind, what = Kind.NEAR_MISS, (record.kind, None, None, False)
        name = caller if (kind, caller) in self._named else OTHER
        self._sums[name, record.caller_source, kind, *what] += 1
        self._days[record.timestamp.date(), name, kind, what[0]] += 1

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
