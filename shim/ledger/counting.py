"""Single records added up to what a report is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from shim.ledger.evidence import (
    MOST_CLIENTS,
    REACHED,
    Client,
    DaySum,
    Evidence,
    Kind,
    Span,
    Sum,
    Traffic,
    facts_of,
)
from shim.ledger.records import OTHER, PhaseChange, Record, Use

_Client = tuple[str, str | None]
_Key = tuple[str, str, Kind, str | None, str | None, int | None, bool]


class Count:
    """Sums, days and what the latest use of each caller showed."""

    def __init__(self) -> None:
        self.spans: Final[list[Span]] = []
        self.phase_changes: Final[set[tuple[datetime, str, str]]] = set()
        self._sums: dict[_Key, tuple[int, datetime, datetime]] = {}
        self._days: Counter[tuple[date, str, Kind, str | None]] = Counter()
        self._facts: dict[str, tuple[datetime, str, str | None, str]] = {}
        self._clients: defaultdict[str, dict[_Client, tuple[int, datetime]]] = defaultdict(dict)
        self._traffic: Counter[tuple[datetime, str]] = Counter()

    def add(self, record: Record) -> None:
        """Count a use or a near miss."""
        moment, caller, source = record.timestamp, record.caller, record.caller_source
        if isinstance(record, Use):
            how = (record.mode, str(record.decision), record.upstream_status, record.masked)
            self._add((caller, source, Kind.USE, *how), 1, moment)
            known = self._facts.get(caller)
            if known is None or known[:2] < (moment, record.id):
                self._facts[caller] = moment, record.id, record.user_agent, record.replacement
            self._add_client(caller, (record.client_address, record.user_agent or None), moment)
        else:
            key = (caller, source, Kind.NEAR_MISS, record.kind, None, None, False)
            self._add(key, 1, moment)

    def add_replacements(
        self, caller: str, source: str, mode: str, number: int, moment: datetime, *, reached: bool
    ) -> None:
        """Count ``number`` calls to a new endpoint; ``reached`` if a handler took them."""
        decision = REACHED if reached else None
        key = (caller, source, Kind.REPLACEMENT_CALL, mode, decision, None, False)
        self._add(key, number, moment)

    def add_unreadable(self, address: str, number: int, moment: datetime) -> None:
        """Count ``number`` requests from ``address`` that could not be read."""
        key = (address, "address", Kind.UNREADABLE, None, None, None, False)
        self._add(key, number, moment)

    def add_passed(self, instance: str, number: int, moment: datetime) -> None:
        """Count ``number`` requests besides probes that came to ``instance``; 0 is told too."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        self._traffic[hour, instance] += number

    def evidence(self) -> Evidence:
        """Return what there is."""
        return Evidence(
            sums=[
                Sum(
                    caller=caller,
                    caller_source=caller_source,
                    kind=kind,
                    mode=mode,
                    decision=decision,
                    upstream_status=upstream_status,
                    masked=masked,
                    count=count,
                    first=first,
                    last=last,
                )
                for (caller, caller_source, kind, mode, decision, upstream_status, masked), (
                    count,
                    first,
                    last,
                ) in self._sums.items()
            ],
            days=[
                DaySum(day=day, caller=caller, kind=kind, count=count, mode=mode)
                for (day, caller, kind, mode), count in self._days.items()
            ],
            callers={
                caller: facts_of(user_agent, replacement, self._clients_of(caller))
                for caller, (_, _, user_agent, replacement) in self._facts.items()
            },
            spans=self.spans,
            phase_changes=[
                PhaseChange(timestamp=moment, instance=instance, phase=phase)
                for moment, instance, phase in sorted(self.phase_changes)
            ],
            traffic=[
                Traffic(instance=instance, hour=hour, requests=requests)
                for (hour, instance), requests in sorted(self._traffic.items())
            ],
        )

    def _add(self, key: _Key, number: int, moment: datetime) -> None:
        count, first, last = self._sums.get(key, (0, moment, moment))
        self._sums[key] = count + number, min(first, moment), max(last, moment)
        if key[2] is not Kind.REPLACEMENT_CALL or key[4] == REACHED:
            self._days[moment.date(), key[0], key[2], key[3]] += number

    def _add_client(self, caller: str, client: _Client, moment: datetime) -> None:
        clients = self._clients[caller]
        if client not in clients and len(clients) >= MOST_CLIENTS - 1:
            client = (OTHER, None)
        count, last = clients.get(client, (0, moment))
        clients[client] = count + 1, max(last, moment)

    def _clients_of(self, caller: str) -> Iterator[Client]:
        for (address, agent), (count, last) in self._clients[caller].items():
            yield Client(address=address, user_agent=agent, count=count, last=last)
