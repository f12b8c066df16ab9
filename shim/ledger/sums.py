"""The sums of a ledger or the fleet, in all or from some moment on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
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

from shim.ledger.evidence import REACHED, CallerFacts, Client, DaySum, Kind, Sum, Traffic, facts_of
from shim.ledger.records import OTHER
from shim.ledger.tables import facts, schema, writing
from shim.ledger.tables.opening import holds
from shim.ledger.tables.schema import DAY, HOUR, from_ms, to_day
from shim.ledger.tables.writing import Tally
from shim.route.replies import took

_MOST_OTHERS: Final = 10
# Older versions wrote the status alone of calls to the new endpoints.
_TOOK: Final = frozenset(status for status in range(600) if took(status))
_WHAT: Final = ("caller", "caller_source", "kind", "mode", "decision", "upstream_status", "masked")


def read_sums(connection: Connection, start: int | None) -> list[Sum]:
    """Return how often each caller did each thing, from ``start`` on."""
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


def read_callers(
    connection: Connection, names: AbstractSet[str], start: int | None
) -> dict[str, CallerFacts]:
    """Return what the latest use of each of ``names`` showed, and who has used that name.

    From ``start`` on, as far as single uses are kept that long.
    """
    callers = schema.callers.c
    kept = facts.horizon(connection)
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


def read_traffic(connection: Connection) -> list[Traffic]:
    """Return what each instance carried, hour by hour."""
    if not holds(connection, schema.traffic):
        return []
    traffic = schema.traffic.c
    return [
        Traffic(instance=instance, hour=from_ms(hour * HOUR), requests=requests)
        for instance, hour, requests in connection.execute(
            select(schema.traffic).order_by(traffic.hour, traffic.instance)
        )
    ]


def read_others(connection: Connection, start: int | None) -> list[str]:
    """Return some of the callers past the cap, the latest first."""
    callers, totals = schema.callers.c, schema.totals.c
    summed = select(totals.caller).where(totals.kind == Kind.USE.value)
    others = select(callers.caller).where(callers.caller.not_in(summed))
    if start is not None:
        others = others.where(callers.last >= start)
    latest = others.order_by(callers.last.desc(), callers.caller).limit(_MOST_OTHERS)
    return list(connection.execute(latest).scalars())


def read_days(connection: Connection, start: int | None) -> list[DaySum]:
    """Return how often each caller did each kind of thing, day by day from ``start`` on."""
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
    if start < facts.horizon(connection):
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
    tells = c.upstream_status.in_(_TOOK)
    return or_(c.kind != Kind.REPLACEMENT_CALL.value, c.decision == REACHED, tells)


def _reached(decision: str, status: int) -> bool:
    """Tell whether a handler took calls to a new endpoint, also of what older versions wrote."""
    return decision == REACHED or status in _TOOK


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
