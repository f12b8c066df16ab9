"""Single records added up to what a report is made from."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Final

from shim.ledger.evidence import CallerFacts, DaySum, Evidence, Kind, Span, Sum
from shim.ledger.records import PhaseChange, Record, Use

_Key = tuple[str, str, Kind, str | None, str | None, int | None, bool]


class Count:
    """Sums, days and what the latest use of each caller showed."""

    def __init__(self) -> None:
        self.spans: Final[list[Span]] = []
        self.phase_changes: Final[set[tuple[datetime, str, str]]] = set()
        self._sums: dict[_Key, tuple[int, datetime, datetime]] = {}
        self._days: Counter[tuple[date, str, Kind]] = Counter()
        self._facts: dict[str, tuple[datetime, str, CallerFacts]] = {}

    def add(self, record: Record) -> None:
        """Count a use or a near miss."""
        moment, caller, source = record.timestamp, record.caller, record.caller_source
        if isinstance(record, Use):
            how = (record.mode, str(record.decision), record.upstream_status, record.masked)
            self._add((caller, source, Kind.USE, *how), 1, moment)
            known = self._facts.get(caller)
            if known is None or known[:2] < (moment, record.id):
                facts = CallerFacts(user_agent=record.user_agent, replacement=record.replacement)
                self._facts[caller] = moment, record.id, facts
        else:
            key = (caller, source, Kind.NEAR_MISS, record.kind, None, None, False)
            self._add(key, 1, moment)

    def add_replacements(
        self, caller: str, source: str, mode: str, number: int, moment: datetime
    ) -> None:
        """Count ``number`` calls to a new endpoint."""
        self._add((caller, source, Kind.REPLACEMENT_CALL, mode, None, None, False), number, moment)

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
                DaySum(day=day, caller=caller, kind=kind, count=count)
                for (day, caller, kind), count in self._days.items()
            ],
            callers={caller: facts for caller, (_, _, facts) in self._facts.items()},
            spans=self.spans,
            phase_changes=[
                PhaseChange(timestamp=moment, instance=instance, phase=phase)
                for moment, instance, phase in sorted(self.phase_changes)
            ],
        )

    def _add(self, key: _Key, number: int, moment: datetime) -> None:
        count, first, last = self._sums.get(key, (0, moment, moment))
        self._sums[key] = count + number, min(first, moment), max(last, moment)
        self._days[moment.date(), key[0], key[2]] += number
