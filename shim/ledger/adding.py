"""Adding records from JSON lines: of a shim whose ledger is lost, or from before it had one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table

from shim.ledger.records import NEAR_MISS_EVENT, Decision
from shim.ledger.tables import schema, writing
from shim.ledger.tables.opening import is_fleet, open_fleet, open_ledger, reading
from shim.ledger.tables.schema import Row, to_ms
from shim.ledger.tables.writing import Batch, Names
from shim.moments import parse_rfc3339

_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of lines: ``new`` ones were added, ``known`` ones were there already.

    ``too_old`` ones are from before the time from which single uses are kept: whether they were
    counted can no longer be told, so they were left out.  ``unreadable`` ones lack a field.
    """

    new: int = 0
    known: int = 0
    too_old: int = 0
    unreadable: int = 0


def import_records(
    source: Path | str, records: Iterable[Mapping[str, Any]], *, caller_cap: int = 1000
) -> Imported:
    """Add uses and near misses as their JSON lines hold them; the same ones twice change nothing.

    A shim may be writing to ``source`` meanwhile.
    """
    names = Names(caller_cap)
    new = known = too_old = unreadable = 0
    with reading(source), closing(_opened(source)) as connection:
        with connection.begin():
            names.load(connection)
            horizon = int(writing.read_fact(connection, "pruned_before") or 0)
        batch = Batch()

        def flush() -> None:
            nonlocal batch, new, known
            if batch.uses or batch.near_misses:
                added = writing.write(connection, batch, names)
                new += added
                known += len(batch.uses) + len(batch.near_misses) - added
                batch = Batch()

        for record in records:
            miss = record.get("event") == NEAR_MISS_EVENT or "hint" in record
            row = _row(record, schema.near_misses if miss else schema.uses)
            if row is None:
                unreadable += 1
            elif row[1] < horizon:
                too_old += 1
            else:
                (batch.near_misses if miss else batch.uses).append(row)
                if len(batch.uses) + len(batch.near_misses) >= _AT_ONCE:
                    flush()
        flush()
    return Imported(new=new, known=known, too_old=too_old, unreadable=unreadable)


def _opened(source: Path | str) -> Connection:
    return open_fleet(str(source)) if is_fleet(source) else open_ledger(source, busy_seconds=30)


def _row(record: Mapping[str, Any], table: Table) -> Row | None:
    """Return the values of ``record`` as ``table`` takes them, ``None`` where it does not."""
    values: list[Any] = []
    for column in table.c:
        if column.name == "seq":
            continue
        value = record.get(column.name)
        if column.name == "decision" and value not in list(Decision):
            return None
        if column.server_default is not None and value is None:
            value = False
        if column.name == "timestamp":
            try:
                value = to_ms(parse_rfc3339(str(value)))
            except ValueError:
                return None
        elif value is not None or not column.nullable:
            value = _fit(value, column.type.python_type)
            if value is None:
                return None
        values.append(value)
    return tuple(values)


def _fit(value: object, kind: type) -> str | int | float | None:
    match value:
        case str() if kind is str:
            # What one of the two databases does not take: lone surrogates, U+0000.
            return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
        case bool():
            return value if kind is bool else None
        case int() if kind is int and abs(value) < 2**31:
            return value
        case int() | float() if kind is float and abs(value) < 1e15:
            return float(value)
    return None
