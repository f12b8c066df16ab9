"""Telling a ledger or the fleet what happened: records, their sums, spans, in one transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    case,
    select,
    update,
)

from shim.ledger.evidence import MOST_CLIENTS, Kind, what_is
from shim.ledger.records import OTHER, NearMiss, PhaseChange, Record, Told, Use
from shim.ledger.tables import schema, statements
from shim.ledger.tables.schema import HOUR, AnyRecord, Row, to_ms, to_row

Tally = tuple[int, int, int]
"""Count, first and last, the latter two in milliseconds since 1970."""
ClientKey = tuple[str, str, str]
"""Caller, address and user agent."""
_AT_ONCE: Final = 500


class SumKey(NamedTuple):
    """What an hour's sum is of, in the order of its columns; empty and 0 do not apply."""

    hour: int
    caller: str
    kind: str
    instance: str
    caller_source: str = ""
    mode: str = ""
    decision: str = ""
    upstream_status: int = 0
    masked: bool = False


@dataclass(slots=True)
class Batch:
    """What is written together."""

    records: list[Told] = field(default_factory=list)
    counts: dict[SumKey, Tally] = field(default_factory=dict)


@dataclass(slots=True)
class Names:
    """The callers that have sums of their own, and how many of each kind may.

    Each kind is capped by itself, so that whoever tries many names on a route that does not exist
    cannot push the users of the old one into :data:`OTHER`.  ``callers`` are those of whom the
    latest use is kept, up to ``20 * cap``.
    """

    cap: int
    summed: dict[str, set[str]] = field(default_factory=dict)
    callers: set[str] = field(default_factory=set)
    _fresh: list[tuple[set[str], str]] = field(default_factory=list)

    def load(self, connection: Connection) -> None:
        """Read the names that are there already."""
        pairs = select(schema.totals.c.kind, schema.totals.c.caller).distinct()
        self.summed = {kind: set() for kind in Kind}
        for kind, caller in connection.execute(pairs):
            if caller != OTHER:
                self.summed[kind].add(caller)
        self.callers = set(connection.execute(select(schema.callers.c.caller)).scalars())

    def under(self, kind: str, caller: str) -> str:
        """Return the name under which ``caller`` is summed."""
        return caller if self._admit(self.summed[kind], caller, self.cap) else OTHER

    def kept(self, caller: str) -> bool:
        """Tell whether the latest use of ``caller`` is kept."""
        return self._admit(self.callers, caller, 20 * self.cap)

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Hold a transaction open; the names that are taken in it stay if it is committed."""
        try:
            with connection.begin():
                yield
        except BaseException:
            for names, caller in self._fresh:
                names.discard(caller)
            raise
        finally:
            self._fresh.clear()

    def _admit(self, names: set[str], caller: str, cap: int) -> bool:
        if caller in names:
            return True
        if len(names) >= cap:
            return False
        names.add(caller)
        self._fresh.append((names, caller))
        return True


def write(connection: Connection, batch: Batch, names: Names) -> int:
    """Write ``batch`` in a transaction that is open; return how many records were new.

    A record whose ``id`` is there already changes nothing.
    """
    uses = _insert(connection, statements.USES, batch.records, Use)
    misses = _insert(connection, statements.NEAR_MISSES, batch.records, NearMiss)
    write_phases(
        connection,
        [
            (one.instance, to_ms(one.timestamp), one.phase)
            for one in batch.records
            if isinstance(one, PhaseChange)
        ],
    )
    sums: dict[SumKey, Tally] = {}
    callers: dict[str, Row] = {}
    clients: dict[ClientKey, tuple[int, int]] = {}
    traffic: Counter[tuple[str, int]] = Counter()
    for use in uses:
        _sum(sums, names, use)
        if names.kept(use.caller):
            _note_caller(callers, clients, use)
    for miss in misses:
        _sum(sums, names, miss)
    for key, tally in batch.counts.items():
        if key.kind == Kind.CARRIED:
            traffic[key.instance, key.hour] += tally[0]
        else:
            add(sums, key._replace(caller=names.under(key.kind, key.caller)), tally)
    _write_sums(connection, sums)
    if traffic:
        statements.TRAFFIC.run(connection, [(*where, traffic[where]) for where in sorted(traffic)])
    if callers:
        statements.CALLERS.run(connection, [callers[name] for name in sorted(callers)])
        # Only now: in the fleet the rows of these callers are locked, for others that write them.
        _write_clients(connection, clients)
    return len(uses) + len(misses)


def add(sums: dict[Any, Tally], key: tuple[Any, ...], tally: Tally) -> None:
    """Add ``tally`` to what ``sums`` holds under ``key``."""
    old = sums.get(key)
    if old is not None:
        tally = (old[0] + tally[0], min(old[1], tally[1]), max(old[2], tally[2]))
    sums[key] = tally


def _insert(
    connection: Connection,
    statement: statements.Statement,
    records: list[Told],
    kind: type[AnyRecord],
) -> list[AnyRecord]:
    """Insert the records of one kind and return those that were not there yet."""
    told = {record.id: record for record in reversed(records) if isinstance(record, kind)}
    if not told:
        return []
    new = statement.run(connection, [to_row(record) for record in reversed(told.values())])
    return [record for record in reversed(told.values()) if record.id in new]


def _sum(sums: dict[SumKey, Tally], names: Names, record: Record) -> None:
    moment = to_ms(record.timestamp)
    what = what_is(record)
    key = SumKey(
        moment // HOUR,
        names.under(what.kind, record.caller),
        what.kind.value,
        record.instance,
        record.caller_source,
        what.mode or "",
        what.decision or "",
        what.upstream_status or 0,
        what.masked,
    )
    add(sums, key, (1, moment, moment))


def _note_caller(
    callers: dict[str, Row], clients: dict[ClientKey, tuple[int, int]], use: Use
) -> None:
    moment, caller = to_ms(use.timestamp), use.caller
    admitted = use.admitted
    before = callers.get(caller)
    if before is not None:
        admitted = admitted or before[-1]
    if before is None or moment >= before[1]:
        callers[caller] = (caller, moment, use.user_agent, use.replacement, admitted)
    else:
        callers[caller] = (*before[:-1], admitted)
    _add_client(clients, (caller, use.client_address, use.user_agent or ""), 1, moment)


def _add_client(
    clients: dict[ClientKey, tuple[int, int]], key: ClientKey, count: int, last: int
) -> None:
    before = clients.get(key, (0, 0))
    clients[key] = before[0] + count, max(before[1], last)


def _write_sums(connection: Connection, sums: dict[SumKey, Tally]) -> None:
    if not sums:
        return
    by_day: dict[tuple[Any, ...], Tally] = {}
    in_all: dict[tuple[Any, ...], Tally] = {}
    for key, tally in sums.items():
        add(by_day, (key.hour // 24, *key[1:]), tally)
        add(in_all, key[1:], tally)
    # Sorted: two shims that write to one fleet take the rows' locks in the same order.
    parts: tuple[tuple[statements.Statement, Mapping[Any, Tally]], ...] = (
        (statements.HOURS, sums),
        (statements.DAYS, by_day),
        (statements.TOTALS, in_all),
    )
    for statement, part in parts:
        statement.run(connection, [(*key, *part[key]) for key in sorted(part)])


def _write_clients(connection: Connection, clients: Mapping[ClientKey, tuple[int, int]]) -> None:
    """Add up who has used each name: so many apart, and the rest of them together."""
    if connection.dialect.name == "postgresql":
        # By the names that it has for them.
        told, clients = clients, {}
        for (caller, address, agent), (count, last) in told.items():
            key = map(statements.without_nul, (caller, address, agent))
            _add_client(clients, (*key,), count, last)
    known = schema.clients.c
    apart: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    callers = sorted({caller for caller, _, _ in clients})
    for start in range(0, len(callers), _AT_ONCE):
        rows = select(known.caller, known.address, known.user_agent).where(
            known.caller.in_(callers[start : start + _AT_ONCE]), known.address != OTHER
        )
        for caller, address, agent in connection.execute(rows):
            apart[caller].add((address, agent))
    summed: dict[ClientKey, tuple[int, int]] = {}
    for (caller, address, agent), (count, last) in clients.items():
        client = (address, agent)
        if client not in apart[caller]:
            if len(apart[caller]) < MOST_CLIENTS - 1:
                apart[caller].add(client)
            else:
                client = (OTHER, "")
        _add_client(summed, (caller, *client), count, last)
    statements.CLIENTS.run(connection, [(*key, *summed[key]) for key in sorted(summed)])


def write_outbox(connection: Connection, rows: Sequence[Row]) -> None:
    """Write counts, a sum's key and tally each, that are to be shipped or kept as they came."""
    if rows:
        statements.OUTBOX.run(connection, rows)


def write_spans(connection: Connection, rows: Sequence[Row]) -> None:
    """Write spans ``(instance, start, end, stopped)``, in place of those with the same start."""
    if rows:
        statements.SPANS.run(connection, rows)


def cut_spans(connection: Connection, instance: str, now: int) -> None:
    """Let no span of ``instance`` claim time that has not come yet: its clock has been put back.

    That is their end, and not that of the shim: nobody waits for more of them.
    """
    spans = schema.spans.c
    late = and_(spans.instance == instance, spans.end > now)
    end = case((spans.start > now, spans.start), else_=now)
    connection.execute(update(schema.spans).where(late).values(end=end, stopped=True))


def write_phases(connection: Connection, rows: Sequence[Row]) -> None:
    """Write changes of phase ``(instance, moment, phase)``."""
    if rows:
        statements.PHASES.run(connection, rows)
