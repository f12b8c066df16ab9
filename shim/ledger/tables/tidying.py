"""Letting go of what nobody needs any more, in small steps.  The sums stay."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, delete, func, or_, select

from shim.ledger.evidence import Kind
from shim.ledger.tables import schema
from shim.ledger.tables.facts import raise_horizon

_MOST_CALLS: Final = 100_000


def prune(
    connection: Connection, before: int, *, limit: int, shipped: dict[str, int] | None = None
) -> int:
    """Delete up to ``limit`` uses and near misses older than ``before``; return how many went.

    What ``shipped`` says the fleet has not got yet stays.  The sums stay.
    """
    gone = 0
    with connection.begin():
        for table in (schema.uses, schema.near_misses):
            old = table.c.timestamp < before
            if shipped is not None:
                old = and_(old, table.c.seq <= shipped.get(table.name, 0))
            some = select(table.c.seq).where(old).order_by(table.c.timestamp).limit(limit)
            gone += connection.execute(delete(table).where(table.c.seq.in_(some))).rowcount
        if gone:
            raise_horizon(connection, before)
    return gone


def tidy_outbox(connection: Connection, shipped: int | None) -> None:
    """Drop from the outbox what nobody needs any more, but for the newest calls.

    Up to number ``shipped`` the fleet has got it; ``None`` is of a ledger without a fleet.
    """
    outbox = schema.outbox.c
    calls = outbox.kind == Kind.REPLACEMENT_CALL.value
    newest = select(outbox.seq).where(calls).order_by(outbox.seq.desc())
    with connection.begin():
        past = connection.execute(newest.offset(_MOST_CALLS).limit(1)).scalar()
        gone = or_(~calls, outbox.seq <= (past or 0))
        if shipped is not None:
            gone = and_(gone, outbox.seq <= shipped)
        connection.execute(delete(schema.outbox).where(gone))


def tidy_calls(connection: Connection) -> None:
    """Drop all but the newest calls from the outbox of the fleet, which holds nothing else."""
    outbox = schema.outbox.c
    ends = connection.execute(select(func.min(outbox.seq), func.max(outbox.seq))).one()
    connection.rollback()
    # Looked at often, and the rows are not to be counted each time.
    if ends[0] is not None and ends[1] - ends[0] > 1.1 * _MOST_CALLS:
        tidy_outbox(connection, None)
