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
    What,
    facts_of,
    what_is,
)
from shim.ledger.records import OTHER, PhaseChange, Record, Use

_Client = tuple[str, str | None]


class Count:
    """Sums, days and what the latest use of each caller showed."""

    def __init__(self) -> None:
        self.spans: Final[list[Span]] = []
        self.phase_changes: Final[set[tuple[datetime, str, str]]] = set()
        self._sums: dict[tuple[str, str, What], tuple[int, datetime, datetime]] = {}
        self._days: Counter[tuple[date, str, Kind, str | None]] = Counter()
        self._facts: dict[str, tuple[datetime, str, str | None, str]] = {}
        self._clients: defaultdict[str, dict[_Client, tuple[int, datetime]]] = defaultdict(dict)
        self._traffic: Counter[tuple[datetime, str]] = Counter()

    def add(self, record: Record) -> None:
        """Count a use or a near miss."""
        moment, caller = record.timestamp, record.caller
        self._add(caller, record.caller_source, what_is(record), 1, moment)
        if isinstance(record, Use):
            known = self._facts.get(caller)
            if known is None or known[:2] < (moment, record.id):
                self._facts[caller] = moment, record.id, record.user_agent, record.replacement
            self._add_client(caller, (record.client_address, record.user_agent or None), moment)

    def add_replacements(
        self, caller: str, source: str, mode: str, number: int, moment: datetime, *, reached: bool
    ) -> None:
        """Count ``number`` calls to a new endpoint; ``reached`` if a handler took them."""
        decision = REACHED if reached else None
        self._add(caller, source, What(Kind.REPLACEMENT_CALL, mode, decision), number, moment)

    def add_unreadable(self, address: str, number: int, moment: datetime) -> None:
        """Count ``number`` requests from ``address`` that could not be read."""
        self._add(address, "address", What(Kind.UNREADABLE), number, moment)

    def add_carried(self, instance: str, number: int, moment: datetime) -> None:
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
                    **what._asdict(),
                    count=count,
                    first=first,
                    last=last,
                )
                for (caller, caller_source, what), (count, first, last) in self._sums.items()
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

    def _add(self, caller: str, source: str, what: What, number: int, moment: datetime) -> None:
        key = (caller, source, what)
        count, first, last = self._sums.get(key, (0, moment, moment))
        self._sums[key] = count + number, min(first, moment), max(last, moment)
        if what.kind is not Kind.REPLACEMENT_CALL or what.decision == REACHED:
            self._days[moment.date(), caller, what.kind, what.mode] += number

    def _add_client(self, caller: str, client: _Client, moment: datetime) -> None:
        clients = self._clients[caller]
        if client not in clients and len(clients) >= MOST_CLIENTS - 1:
            client = (OTHER, None)
        count, last = clients.get(client, (0, moment))
        clients[client] = count + 1, max(last, moment)

    def _clients_of(self, caller: str) -> Iterator[Client]:
        for (address, agent), (count, last) in self._clients[caller].items():
            yield Client(address=address, user_agent=agent, count=count, last=last)
