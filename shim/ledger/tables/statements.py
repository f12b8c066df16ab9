"""The inserts, compiled once, and what each does where the row is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import ClauseElement, Connection, Table, case, or_
from sqlalchemy.dialects import postgresql, sqlite

from shim.ledger.records import NearMiss, Use
from shim.ledger.tables import schema
from shim.ledger.tables.schema import SUM_KEY, Row

_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
_TAIL: Final = ("count", "first", "last")


class Statement:
    """An insert into one table with what to do where the row is there already.

    SQLite gets the compiled text through its driver: SQLAlchemy's own execution costs 20 µs a
    statement and 5 µs a row, and a group has six statements and often few rows.  Many rows go in
    one statement, for the driver gives up the interpreter's lock once per statement, and to get it
    back from a busy event loop takes longer than to insert: row by row, a group under full load
    took a quarter of a second.
    """

    def __init__(
        self,
        table: Table,
        fields: tuple[str, ...],
        conflict: tuple[str, ...],
        change: Callable[[Any], dict[str, ClauseElement]] | None = None,
    ) -> None:
        self._fields = fields
        inserts: list[Any] = [sqlite.insert(table), postgresql.insert(table)]
        for number, insert in enumerate(inserts):
            if change is None:
                inserts[number] = insert.on_conflict_do_nothing(index_elements=conflict)
            else:
                inserts[number] = insert.on_conflict_do_update(
                    index_elements=conflict, set_=change(insert.excluded)
                )
        dialect = sqlite.dialect(paramstyle="qmark")
        compiled = inserts[0].compile(dialect=dialect, column_keys=fields)
        if tuple(compiled.positiontup) != fields:
            raise AssertionError(f"{table.name}: {compiled.positiontup} are not {fields}")
        one = "(" + ", ".join("?" * len(fields)) + ")"
        self._texts = [
            (size, str(compiled).replace(one, ", ".join([one] * size), 1)) for size in _SIZES
        ]
        self._insert = inserts[1]

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Execute for all ``rows`` and return how many were inserted or changed."""
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            return self._run_driver(driver, rows)
        values = [dict(zip(self._fields, map(_without_nul, row), strict=True)) for row in rows]
        return connection.execute(
            self._insert, values, execution_options={"preserve_rowcount": True}
        ).rowcount

    def _run_driver(self, driver: Any, rows: Sequence[Row]) -> int:
        start = changed = 0
        for size, text in self._texts:
            while len(rows) - start >= size:
                values = list(chain.from_iterable(rows[start : start + size]))
                changed += driver.execute(text, values).rowcount
                start += size
        return changed


def _without_nul(value: Any) -> Any:
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


USES: Final = Statement(schema.uses, Use.__struct_fields__, ("id",))
NEAR_MISSES: Final = Statement(schema.near_misses, NearMiss.__struct_fields__, ("id",))
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
