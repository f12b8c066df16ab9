"""What a ledger or the fleet says of itself: facts, marks, numbers."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, Table, func, select

from shim.ledger.tables import schema, statements

_IDENTITY: Final = "ledger"
_HORIZON: Final = "pruned_before"
BEGAN: Final = "began"
"""The fact that tells the newest row of the outbox from before the process that writes now."""


def write_mark(connection: Connection, ledger: str, stream: str, seq: int) -> None:
    """Note in the fleet how far ``stream`` of ``ledger`` has been shipped."""
    statements.MARKS.run(connection, [(ledger, stream, seq)])


def read_mark(connection: Connection, ledger: str, stream: str) -> int:
    """Return how far the fleet has ``stream`` of ``ledger``, and keep others from shipping it."""
    marks = schema.marks.c
    mark = select(marks.seq).where(marks.ledger == ledger, marks.stream == stream)
    return int(connection.execute(mark.with_for_update()).scalar() or 0)


def write_fact(connection: Connection, name: str, value: str) -> None:
    """Note a fact about this ledger."""
    statements.FACTS.run(connection, [(name, value)])


def read_fact(connection: Connection, name: str) -> str | None:
    """Return a fact about this ledger."""
    fact = select(schema.facts.c.value).where(schema.facts.c.name == name)
    return connection.execute(fact).scalar()


def identity(connection: Connection) -> str:
    """Return what tells this ledger from all others, and a copy of it not."""
    return read_fact(connection, _IDENTITY) or ""


def write_identity(connection: Connection) -> None:
    """Give a new ledger what tells it from all others."""
    write_fact(connection, _IDENTITY, uuid.uuid4().hex)


def horizon(connection: Connection) -> int:
    """Return from when on single records are kept, in milliseconds since 1970; 0 where all are.

    Whether an older one was counted can no longer be told.
    """
    return int(read_fact(connection, _HORIZON) or 0)


def raise_horizon(connection: Connection, before: int) -> None:
    """Note that single records older than ``before`` may be gone."""
    write_fact(connection, _HORIZON, str(max(horizon(connection), before)))


def last_sign(connection: Connection) -> int | None:
    """Return when a shim last showed that it was there, in milliseconds since 1970."""
    found = connection.execute(select(func.max(schema.spans.c.end))).scalar()
    return None if found is None else int(found)


def highest(connection: Connection, table: Table) -> int:
    """Return the number of the newest row of ``table``, 0 where there is none."""
    return int(connection.execute(select(func.max(table.c.seq))).scalar() or 0)


def admitted_callers(connection: Connection) -> Iterable[str]:
    """Return the callers of whom a call was let through."""
    callers = schema.callers.c
    return connection.execute(select(callers.caller).where(callers.admitted)).scalars().all()
