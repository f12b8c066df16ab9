"""Reading a ledger or the fleet, while shims write to it or long after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from heapq import merge as merged
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select

from shim.ledger.counting import Count
from shim.ledger.evidence import Evidence, Span, merge
from shim.ledger.leftovers import read_told
from shim.ledger.records import NearMiss, PhaseChange, Record, Told, Use
from shim.ledger.signs import read_signs
from shim.ledger.sums import read_callers, read_days, read_others, read_sums, read_traffic
from shim.ledger.tables import facts, schema
from shim.ledger.tables.opening import is_fleet, is_memory, open_reader, reading, time_limit
from shim.ledger.tables.schema import AnyRecord, from_ms, from_row, to_ms

_AT_ONCE: Final = 1000


def read_evidence(
    source: Path | str, since: datetime | None = None, *, waiting: Iterable[Told] = ()
) -> Evidence:
    """Read what a report needs from the sums of a ledger or, across instances, of the fleet.

    What is in the ledger's journal counts, and what is ``waiting``, if it is not in the ledger yet.
    Of the hour that ``since`` is in, uses and near misses count from that very moment, for as
    long as single ones are kept, and so do calls to the new endpoints; other things count whole
    where the last of them was after it.
    Raise :class:`~shim.ledger.errors.LedgerError` where the source cannot be read.
    """
    start = None if since is None else to_ms(since)
    # Before the rest: what has been written meanwhile is found there.
    unwritten = read_signs(Path(source)) if _has_journal(source) else []
    with opened(source, waiting) as (connection, told), time_limit(connection):
        sums = read_sums(connection, start)
        spans, phases = schema.spans.c, schema.phases.c
        kept = Evidence(
            sums=sums,
            days=read_days(connection, start),
            callers=read_callers(connection, {one.caller for one in sums}, start),
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
            traffic=read_traffic(connection),
            others=read_others(connection, start),
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
    horizon = facts.horizon(connection)
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
        return facts.identity(connection)


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
