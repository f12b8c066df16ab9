"""The latest uses, found among millions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from heapq import merge as merged
from operator import attrgetter
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, and_, case, false, func, or_, select

from shim.ledger.evidence import Kind
from shim.ledger.reading import opened
from shim.ledger.records import OTHER, UNCLEAR, Told, Use
from shim.ledger.tables import schema
from shim.ledger.tables.opening import time_limit
from shim.ledger.tables.schema import HOUR, from_row, to_ms

# SQLite takes no more than 1,000 conditions; only a caller past the cap can need as many.
_PERIODS: Final = 500


def read_recent(
    source: Path | str,
    most: int,
    *,
    since: datetime | None = None,
    caller: str | None = None,
    mode: str | None = None,
    decision: str | None = None,
    waiting: Iterable[Told] = (),
) -> list[Use]:
    """Return the latest uses, at ``most`` so many, latest first; ``UNCLEAR`` is a mode here."""

    def is_sought(use: Use) -> bool:
        return (
            (since is None or use.timestamp >= since)
            and caller in (None, use.caller)
            and mode in (None, use.mode or UNCLEAR)
            and decision in (None, use.decision)
        )

    uses = schema.uses.c
    query = select(schema.uses)
    sought: dict[str, tuple[str, ...]] = {}
    if since is not None:
        query = query.where(uses.timestamp >= to_ms(since))
    if caller is not None:
        query = query.where(uses.caller == caller)
        sought["caller"] = (caller, OTHER)
    if mode is not None:
        query = query.where(uses.mode.is_(None) if mode == UNCLEAR else uses.mode == mode)
        sought["mode"] = ("" if mode == UNCLEAR else mode,)
    if decision is not None:
        query = query.where(uses.decision == decision)
        sought["decision"] = (decision,)
    query = query.order_by(uses.timestamp.desc(), uses.seq.desc()).limit(most)
    with opened(source, waiting) as (connection, told), time_limit(connection):
        if sought:
            # What is rare is found by the sums; among ten million uses that saves reading them all.
            days = _periods_with(connection, schema.days.c.day, sought, most, None)
            of_days = [24 * day + hour for day in days for hour in range(24)]
            hours = _periods_with(connection, schema.hours.c.hour, sought, most, of_days)
            at = uses.timestamp
            within = (and_(at >= hour * HOUR, at < (hour + 1) * HOUR) for hour in hours)
            query = query.where(or_(false(), *within))
        kept = [from_row(Use, row) for row in connection.execute(query)]
    fresh = [one for one in told if isinstance(one, Use) and is_sought(one)]
    fresh.sort(key=attrgetter("timestamp"), reverse=True)
    return list(merged(fresh, kept, key=attrgetter("timestamp"), reverse=True))[:most]


def _periods_with(
    connection: Connection,
    period: Column[int],
    sought: Mapping[str, tuple[str, ...]],
    most: int,
    among: list[int] | None,
) -> list[int]:
    """Return the latest hours or days that hold ``most`` of the uses ``sought``."""
    c = period.table.c
    # Of those that are summed together nobody knows how many are of one caller.
    named = case((c.caller == OTHER, 0), else_=c.count)
    query = select(period, func.sum(named)).where(c.kind == Kind.USE.value)
    query = query.where(*(c[name].in_(values) for name, values in sought.items()))
    if among is not None:
        query = query.where(period.in_(among))
    found: list[int] = []
    for number, count in connection.execute(query.group_by(period).order_by(period.desc())):
        found.append(number)
        most -= count
        if most <= 0 or len(found) == _PERIODS:
            break
    return found
