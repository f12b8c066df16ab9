"""Reading a ledger or the fleet, while shims write to it or long after."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from datetime import datetime
from heapq import merge as merged
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from shim.ledger.counting import Count
from shim.ledger.evidence import (
    REACHED,
    CallerFacts,
    Client,
    DaySum,
    Evidence,
    Kind,
    Span,
    Sum,
    Traffic,
    facts_of,
    merge,
)
from shim.ledger.journal import read_told
from shim.ledger.records import OTHER, NearMiss, PhaseChange, Record, Told, Use
from shim.ledger.signs import read_signs
from shim.ledger.tables import schema, writing
from shim.ledger.tables.opening import (
    holds,
    is_fleet,
    is_memory,
    open_reader,
    reading,
    time_limit,
)
from shim.ledger.tables.schema import DAY, HOUR, AnyRecord, from_ms, from_row, to_day, to_ms
from shim.ledger.tables.writing import Tally

_AT_ONCE: Final = 1000
_MOST_OTHERS: Final = 10
_WHAT: Final = ("caller", "caller_source", "kind", "mode", "decision", "upstream_status", "masked")


def read_evidence(
    source: Path | str, since: datetime | None = None, *, waiting: Iterable[Told] = ()
) -> Evidence:
    """Read what a report needs from the sums of a ledger or, across instances, of the fleet.

    What is in the ledger's journal counts, and what is ``waiting``, if it is not in the ledger yet.
    Of the hour that ``since`` is in, uses and near misses count from that very moment, for as
    long as single ones are kept, and so do calls to the new endpoints; other things count whole
    where the last of them was after it.
    Raise :class:`shim.ledger.LedgerError` where the source cannot be read.
    """
    start = None if since is None else to_ms(since)
    # Before the rest: what has been written meanwhile is found there.
    unwritten = read_signs(Path(source)) if _has_journal(source) else []
    with opened(source, waiting) as (connection, told), time_limit(connection):
        sums = _sums(connection, start)
        spans, phases = schema.spans.c, schema.phases.c
        kept = Evidence(
            sums=sums,
            days=_days(connection, start),
            callers=_callers(connection, {one.caller for one in sums}, start),
            spans=[
                Span(
                    instance=row.instance,
                    start=from_ms(row.start),
                    end=from_ms(row.end),
                    stopped=row.stopped,
                )
                for row in connection.execute(
                    select(schema.spans)
                    .where(spans.end >= (start or 0))
                    .order_by(spans.start, spans.instance)
                )
            ],
            phase_changes=[
                PhaseChange(timestamp=from_ms(row.moment), instance=row.instance, phase=row.phase)
                for row in connection.execute(
                    select(schema.phases).order_by(phases.moment, phases.instance)
                )
            ],
            traffic=_traffic(connection),
            others=_others(connection, start),
            unwritten=unwritten,
        )
    return merge([kept, _counted(told, since)]) if told else kept


@contextmanager
def opened(
    source: Path | str, waiting: Iterable[Told] = ()
) -> Iterator[tuple[Connection, list[Told]]]:
    """Open ``source``; add what has been told and is not in it."""
    told = list(waiting)
    if _has_journal(source):
        told += read_told(Path(source))
    # Only now: what was taken out of the journal meanwhile has to be there.
    with reading(source), closing(open_reader(source)) as connection:
        yield connection, _not_in(connection, told)


def _has_journal(source: Path | str) -> bool:
    return not is_fleet(source) and not is_memory(source)


def _not_in(connection: Connection, told: Iterable[Told]) -> list[Told]:
    """Return what of ``told`` the ledger does not hold, each once."""
    unknown: dict[str, Record] = {}
    changes: dict[tuple[datetime, str], PhaseChange] = {}
    for one in told:
        if isinstance(one, PhaseChange):
            changes[one.timestamp, one.instance] = one
        else:
            unknown[one.id] = one
    if not unknown and not changes:
        return []
    for table in (schema.uses, schema.near_misses):
        ids = list(unknown)
        for start in range(0, len(ids), _AT_ONCE):
            known = select(table.c.id).where(table.c.id.in_(ids[start : start + _AT_ONCE]))
            for id_ in connection.execute(known).scalars():
                unknown.pop(id_, None)
    phases = schema.phases
    moments = {to_ms(moment) for moment, _ in changes}
    if moments:
        first = phases.c.moment >= min(moments)
        for row in connection.execute(select(phases).where(first)):
            changes.pop((from_ms(row.moment), row.instance), None)
    # An older one may have been there; whether it was can no longer be told.
    horizon = int(writing.read_fact(connection, "pruned_before") or 0)
    return [
        *(one for one in unknown.values() if to_ms(one.timestamp) >= horizon),
        *changes.values(),
    ]


def _counted(told: Iterable[Told], since: datetime | None) -> Evidence:
    count = Count()
    for one in told:
        if isinstance(one, PhaseChange):
            count.phase_changes.add((one.timestamp, one.instance, one.phase))
        elif since is None or one.timestamp >= since:
            count.add(one)
    return count.evidence()


def read_identity(source: Path | str) -> str:
    """Return what tells this ledger from all others, and a copy of it not."""
    with reading(source), closing(open_reader(source)) as connection:
        return writing.read_fact(connection, "ledger") or ""


def read_uses(source: Path | str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield every single use that is kept, as ``Use.as_dict`` gives it, by time."""
    return (use.as_dict() for use in read_records(source, Use, since))


def read_near_misses(source: Path | str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield every single near miss that is kept, as ``NearMiss.as_dict`` gives it, by time."""
    return (miss.as_dict() for miss in read_records(source, NearMiss, since))


def read_records(
    source: Path | str, kind: type[AnyRecord], since: datetime | None = None
) -> Iterator[AnyRecord]:
    """Yield every single record of that kind that is kept, by time."""
    table = schema.TABLES[kind]
    query = select(table).order_by(table.c.timestamp, table.c.seq)
    if since is not None:
        query = query.where(table.c.timestamp >= to_ms(since))
    with opened(source) as (connection, told):
        fresh = [one for one in told if isinstance(one, kind)]
        fresh = [one for one in fresh if since is None or one.timestamp >= since]
        fresh.sort(key=attrgetter("timestamp"))
        streaming = connection.execution_options(yield_per=_AT_ONCE)
        kept = (from_row(kind, row) for row in streaming.execute(query))
        yield from merged(kept, fresh, key=attrgetter("timestamp"))


def _sums(connection: Connection, start: int | None) -> list[Sum]:
    found: dict[tuple[Any, ...], Tally] = {}
    if start is None:
        _gather(found, connection.execute(_grouped(schema.totals)))
    else:
        hours, days, day = schema.hours.c, schema.days.c, start // DAY
        _gather(found, connection.execute(_grouped(schema.days, days.day > day)))
        rest = _grouped(schema.hours, hours.hour > start // HOUR, hours.hour < (day + 1) * 24)
        _gather(found, connection.execute(rest))
        _gather(found, _first_hour(connection, start))
    return [
        Sum(
            caller=caller,
            caller_source=source,
            kind=Kind(kind),
            mode=mode or None,
            decision=decision or None,
            upstream_status=status or None,
            masked=bool(masked),
            count=int(count),
            first=from_ms(first),
            last=from_ms(last),
        )
        for (caller, source, kind, mode, decision, status, masked), (count, first, last) in sorted(
            found.items()
        )
    ]


def _callers(
    connection: Connection, names: AbstractSet[str], start: int | None
) -> dict[str, CallerFacts]:
    """Return what the latest use of each of ``names`` showed, and who has used that name.

    From ``start`` on, as far as single uses are kept that long.
    """
    callers = schema.callers.c
    kept = int(writing.read_fact(connection, "pruned_before") or 0)
    whole = start is None or start < kept
    clients = _clients(connection) if whole else _clients_since(connection, start or 0)
    return {
        row.caller: facts_of(row.user_agent, row.replacement, clients.get(row.caller, ()))
        for row in connection.execute(
            select(callers.caller, callers.user_agent, callers.replacement)
        )
        if row.caller in names
    }


def _clients(connection: Connection) -> Mapping[str, Sequence[Client]]:
    found: defaultdict[str, list[Client]] = defaultdict(list)
    if holds(connection, schema.clients):
        named = schema.clients.c.caller.in_(select(schema.totals.c.caller))
        for row in connection.execute(select(schema.clients).where(named)):
            _, address, user_agent, count, last = row
            found[row.caller].append(
                Client(
                    address=address,
                    user_agent=user_agent or None,
                    count=count,
                    last=from_ms(last),
                )
            )
    return found


def _clients_since(connection: Connection, start: int) -> Mapping[str, Sequence[Client]]:
    uses = schema.uses.c
    key = (uses.caller, uses.client_address, uses.user_agent)
    query = select(*key, func.count(), func.max(uses.timestamp)).where(uses.timestamp >= start)
    found: defaultdict[str, list[Client]] = defaultdict(list)
    for caller, address, user_agent, count, last in connection.execute(query.group_by(*key)):
        client = Client(
            address=address, user_agent=user_agent or None, count=count, last=from_ms(last)
        )
        found[caller].append(client)
    return found


def _traffic(connection: Connection) -> list[Traffic]:
    if not holds(connection, schema.traffic):
        return []
    traffic = schema.traffic.c
    return [
        Traffic(instance=instance, hour=from_ms(hour * HOUR), requests=requests)
        for instance, hour, requests in connection.execute(
            select(schema.traffic).order_by(traffic.hour, traffic.instance)
        )
    ]


def _others(connection: Connection, start: int | None) -> list[str]:
    """Return some of the callers past the cap, the latest first."""
    callers, totals = schema.callers.c, schema.totals.c
    summed = select(totals.caller).where(totals.kind == Kind.USE.value)
    others = select(callers.caller).where(callers.caller.not_in(summed))
    if start is not None:
        others = others.where(callers.last >= start)
    latest = others.order_by(callers.last.desc(), callers.caller).limit(_MOST_OTHERS)
    return list(connection.execute(latest).scalars())


def _days(connection: Connection, start: int | None) -> list[DaySum]:
    days, hours = schema.days.c, schema.hours.c
    found: Counter[tuple[int, str, str, str]] = Counter()
    of_days = (days.day, days.caller, days.kind, days.mode)
    query = select(*of_days, func.sum(days.count)).where(_counts_by_day(days))
    if start is not None:
        day = start // DAY
        query = query.where(days.day > day)
        within = and_(
            hours.hour > start // HOUR, hours.hour < (day + 1) * 24, _counts_by_day(hours)
        )
        of_hours = (hours.caller, hours.kind, hours.mode)
        rest = select(*of_hours, func.sum(hours.count)).where(within).group_by(*of_hours)
        for caller, kind, mode, count in connection.execute(rest):
            found[day, caller, kind, mode] += int(count)
        for caller, _, kind, mode, decision, status, _, count, *_ in _first_hour(connection, start):
            if kind != Kind.REPLACEMENT_CALL or _reached(decision, status):
                found[day, caller, kind, mode] += int(count)
    for number, caller, kind, mode, count in connection.execute(query.group_by(*of_days)):
        found[number, caller, kind, mode] += int(count)
    kinds = {kind.value: kind for kind in Kind}
    return [
        DaySum(day=to_day(number), caller=caller, kind=kinds[kind], count=count, mode=mode or None)
        for (number, caller, kind, mode), count in sorted(found.items())
    ]


def _first_hour(connection: Connection, start: int) -> list[tuple[Any, ...]]:
    """Return the sums of what came after ``start`` in the hour that it is in."""
    hour, hours = start // HOUR, schema.hours.c
    whole = (hours.hour == hour, hours.last >= start)
    if start < int(writing.read_fact(connection, "pruned_before") or 0):
        return [tuple(row) for row in connection.execute(_grouped(schema.hours, *whole))]
    uncounted = _grouped(schema.hours, *whole, hours.kind == Kind.UNREADABLE.value)
    rows = [tuple(row) for row in connection.execute(uncounted)]
    pairs = select(schema.totals.c.kind, schema.totals.c.caller).distinct()
    named = {tuple(pair) for pair in connection.execute(pairs)}
    for caller, *rest in connection.execute(_calls(connection, start)):
        rows.append((caller if (rest[1], caller) in named else OTHER, *rest))
    for kind, query in (
        (Kind.USE.value, _singles(schema.uses, start)),
        (Kind.NEAR_MISS.value, _singles(schema.near_misses, start)),
    ):
        for caller, *rest in connection.execute(query):
            name = caller if (kind, caller) in named else OTHER
            source, mode, decision, status, masked, count, first, last = rest
            key = (name, source, kind, mode or "", decision, status or 0, masked)
            rows.append((*key, count, first, last))
    return rows


def _calls(connection: Connection, start: int) -> Select[Any]:
    """Return the calls to the new endpoints that came after ``start`` in the hour that it is in.

    As they came, where those of that hour are all kept; those of the whole hour where not.
    """
    hours, outbox = schema.hours.c, schema.outbox.c
    counts = []
    for c in (hours, outbox):
        within = (c.hour == start // HOUR, c.kind == Kind.REPLACEMENT_CALL.value)
        counts.append(connection.execute(select(func.sum(c.count)).where(*within)).scalar())
    table = schema.outbox if counts[0] == counts[1] else schema.hours
    c = table.c
    within = (c.hour == start // HOUR, c.kind == Kind.REPLACEMENT_CALL.value)
    return _grouped(table, *within, c.last >= start)


def _counts_by_day(c: ReadOnlyColumnCollection[str, Column[Any]]) -> ColumnElement[bool]:
    """Return the condition for what days are made of: all but calls that reached no handler."""
    status = c.upstream_status
    worked = or_(status.between(200, 299), status == 409)
    return or_(c.kind != Kind.REPLACEMENT_CALL.value, c.decision == REACHED, worked)


def _reached(decision: str, status: int) -> bool:
    """Tell whether a handler took calls to a new endpoint, also of what older versions wrote."""
    return decision == REACHED or 200 <= status < 300 or status == 409


def _singles(table: Table, start: int) -> Select[Any]:
    c = table.c
    none: tuple[ColumnElement[Any], ...] = (literal(""), literal(0), literal(False))  # noqa: FBT003
    what = (
        (c.mode, c.decision, c.upstream_status, c.masked)
        if table is schema.uses
        else (c.kind, *none)
    )
    key = (c.caller, c.caller_source, *what)
    within = and_(c.timestamp >= start, c.timestamp < (start // HOUR + 1) * HOUR)
    tally = (func.count(), func.min(c.timestamp), func.max(c.timestamp))
    return select(*key, *tally).where(within).group_by(*key[: 6 if table is schema.uses else 3])


def _grouped(table: Table, *where: ColumnElement[bool]) -> Select[Any]:
    """Return the sums of ``table`` over instances and periods."""
    c = table.c
    key = [c[name] for name in _WHAT]
    tally = (func.sum(c.count), func.min(c.first), func.max(c.last))
    return select(*key, *tally).where(*where).group_by(*key)


def _gather(found: dict[tuple[Any, ...], Tally], rows: Iterable[Iterable[Any]]) -> None:
    for caller, source, kind, mode, how, status, masked, count, first, last in rows:
        reached = kind == Kind.REPLACEMENT_CALL and _reached(how, status)
        key = (caller, source, kind, mode, REACHED if reached else how, status, masked)
        writing.add(found, key, (count, first, last))
