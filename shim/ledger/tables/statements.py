"""The inserts, compiled once, and what each does where the row is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

import msgspec
from sqlalchemy import (
    JSON,
    ClauseElement,
    ColumnElement,
    Connection,
    Table,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import sqlite

from shim.ledger.records import NearMiss, Use
from shim.ledger.tables import schema
from shim.ledger.tables.schema import FLEET_SCHEMA, SUM_KEY, Row

_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
_TAIL: Final = ("count", "first", "last")


class Statement:
    """An insert into one table with what to do where the row is there already.

    Many rows go in one statement, whose text is made once.  SQLAlchemy's own execution costs 20 µs
    a statement and 5 µs a row, and a group has six statements and often few rows.  SQLite's driver
    gives up the interpreter's lock once per statement, and to get it back from a busy event loop
    takes longer than to insert: row by row, a group under full load took a quarter of a second.
    PostgreSQL takes all rows as one JSON text, which is read by the types of the table's own
    columns: that is two to four times as fast as a parameter for each value.
    """

    def __init__(
        self,
        table: Table,
        fields: tuple[str, ...],
        conflict: tuple[str, ...],
        change: Callable[[Any], dict[str, ClauseElement]] | None = None,
        *,
        returning: str | None = None,
    ) -> None:
        self._table = table
        self._fields = fields
        self._returns = returning is not None

        def completed(insert: Any) -> Any:
            if change is None:
                insert = insert.on_conflict_do_nothing(index_elements=conflict)
            else:
                changes = change(insert.excluded)
                insert = insert.on_conflict_do_update(index_elements=conflict, set_=changes)
            return insert if returning is None else insert.returning(table.c[returning])

        dialect = sqlite.dialect(paramstyle="qmark")
        compiled = completed(sqlite.insert(table)).compile(dialect=dialect, column_keys=fields)
        if tuple(compiled.positiontup) != fields:
            raise AssertionError(f"{table.name}: {compiled.positiontup} are not {fields}")
        one = "(" + ", ".join("?" * len(fields)) + ")"
        self._texts = [
            (size, str(compiled).replace(one, ", ".join([one] * size), 1)) for size in _SIZES
        ]
        self._completed = completed

    def run(self, connection: Connection, rows: Sequence[Row]) -> set[Any]:
        """Execute for all ``rows``; return what ``returning`` is of those inserted or changed."""
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            return self._run_driver(driver, rows)
        told = [dict(zip(self._fields, map(without_nul, row), strict=True)) for row in rows]
        result = connection.execute(self._for_a_fleet, {"rows": msgspec.json.encode(told).decode()})
        return set(result.scalars()) if self._returns else set()

    @cached_property
    def _for_a_fleet(self) -> Any:
        # Its dialect takes two megabytes that a shim without a fleet need not have.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        table, fields = self._table, self._fields
        row: ColumnElement[Any] = literal_column(f"NULL::{FLEET_SCHEMA}.{table.name}")
        rows = func.json_populate_recordset(row, cast(bindparam("rows", type_=Text), JSON))
        told = rows.table_valued(*(table.c[field] for field in fields))
        insert = postgresql.insert(table).from_select(fields, select(*told.c))
        return self._completed(insert)

    def _run_driver(self, driver: Any, rows: Sequence[Row]) -> set[Any]:
        found: set[Any] = set()
        start = 0
        for size, text in self._texts:
            while len(rows) - start >= size:
                values = list(chain.from_iterable(rows[start : start + size]))
                found.update(value for (value,) in driver.execute(text, values))
                start += size
        return found


def without_nul(value: Any) -> Any:
    """Replace U+0000, the one character that PostgreSQL's text does not take."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _add_up(table: Table) -> Callable[[Any], dict[str, ClauseElement]]:
    def change(new: Any) -> dict[str, ClauseElement]:
        old = table.c
        return {
            "count": old.count + new.count,
            "first": case((new.first < old.first, new.first), else_=old.first),
            "last": case((new.last > old.last, new.last), else_=old.last),
        }

    return change


def _take_newer(new: Any) -> dict[str, ClauseElement]:
    old = schema.callers.c
    change: dict[str, ClauseElement] = {
        name: case((new.last >= old.last, new[name]), else_=old[name])
        for name in ("last", "user_agent", "replacement")
    }
    return change | {"admitted": or_(old.admitted, new.admitted)}


USES: Final = Statement(schema.uses, Use.__struct_fields__, ("id",), returning="id")
NEAR_MISSES: Final = Statement(
    schema.near_misses, NearMiss.__struct_fields__, ("id",), returning="id"
)
HOURS: Final = Statement(
    schema.hours, ("hour", *SUM_KEY, *_TAIL), ("hour", *SUM_KEY), _add_up(schema.hours)
)
DAYS: Final = Statement(
    schema.days, ("day", *SUM_KEY, *_TAIL), ("day", *SUM_KEY), _add_up(schema.days)
)
TOTALS: Final = Statement(schema.totals, (*SUM_KEY, *_TAIL), SUM_KEY, _add_up(schema.totals))
CALLERS: Final = Statement(
    schema.callers,
    ("caller", "last", "user_agent", "replacement", "admitted"),
    ("caller",),
    _take_newer,
)
CLIENTS: Final = Statement(
    schema.clients,
    ("caller", "address", "user_agent", "count", "last"),
    ("caller", "address", "user_agent"),
    lambda new: {
        "count": schema.clients.c.count + new.count,
        "last": case((new.last > schema.clients.c.last, new.last), else_=schema.clients.c.last),
    },
)
TRAFFIC: Final = Statement(
    schema.traffic,
    ("instance", "hour", "count"),
    ("instance", "hour"),
    lambda new: {"count": schema.traffic.c.count + new.count},
)
OUTBOX: Final = Statement(schema.outbox, ("hour", *SUM_KEY, *_TAIL), ("seq",))
SPANS: Final = Statement(
    schema.spans,
    ("instance", "start", "end", "stopped"),
    ("instance", "start"),
    lambda new: {"end": new.end, "stopped": new.stopped},
)
PHASES: Final = Statement(
    schema.phases,
    ("instance", "moment", "phase"),
    ("instance", "moment"),
    lambda new: {"phase": new.phase},
)
MARKS: Final = Statement(
    schema.marks, ("ledger", "stream", "seq"), ("ledger", "stream"), lambda new: {"seq": new.seq}
)
FACTS: Final = Statement(
    schema.facts, ("name", "value"), ("name",), lambda new: {"value": new.value}
)
