"""The steps from each schema version to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection, RowMapping, func, insert, inspect, select

from shim.ledger.evidence import MOST_CLIENTS
from shim.ledger.records import Use
from shim.ledger.tables import schema
from shim.ledger.tables.facts import write_identity
from shim.ledger.tables.writing import Batch, Names, write

_SINCE_2: Final = ("would_refuse", "announced")
# The newest uses tell who uses a name today; reading ten million would keep a shim from starting.
_MOST_READ: Final = 1_000_000


def _sum_what_was_single(connection: Connection) -> None:
    """From 0, which had nothing but uses with their time as RFC 3339 text, to 1."""
    connection.exec_driver_sql("ALTER TABLE uses RENAME TO uses_0")
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.schema_version).values(version=0))
    write_identity(connection)
    names = Names(cap=1000)
    names.load(connection)
    fields = ", ".join(f'"{field}"' for field in Use.__struct_fields__ if field not in _SINCE_2)
    old = connection.exec_driver_sql(f"SELECT {fields} FROM uses_0 ORDER BY timestamp")  # noqa: S608 - names of ours
    for some in old.mappings().partitions(1000):
        write(connection, Batch(records=[_use(row) for row in some]), names)
    connection.exec_driver_sql("DROP TABLE uses_0")


def _use(old: RowMapping) -> Use:
    # Not strict: SQLite has 0 and 1 for false and true.
    return msgspec.convert(dict(old), Use, strict=False)


def _tell_stops_and_dry_runs(connection: Connection) -> None:
    """From 1, which told neither a shim that was stopped from one that went dark, nor dry runs."""
    namespace = None if connection.dialect.name == "sqlite" else schema.FLEET_SCHEMA
    for table, name in ((schema.spans, "stopped"), *((schema.uses, name) for name in _SINCE_2)):
        columns = inspect(connection).get_columns(table.name, namespace)
        # The step before makes the tables as they are today.
        if all(column["name"] != name for column in columns):
            where = table.name if namespace is None else f"{namespace}.{table.name}"
            connection.exec_driver_sql(
                f"ALTER TABLE {where} ADD COLUMN {name} BOOLEAN DEFAULT FALSE NOT NULL"
            )


def _tell_traffic_and_clients(connection: Connection) -> None:
    """From 2, which told neither what else a shim carried nor who used a caller's name."""
    namespace = None if connection.dialect.name == "sqlite" else schema.FLEET_SCHEMA
    # A step before may have made the tables as they are today, and filled them.
    if inspect(connection).has_table(schema.clients.name, schema=namespace):
        return
    schema.metadata.create_all(connection)
    uses, caller, agent = schema.uses.c, schema.callers.c.caller, schema.uses.c.user_agent
    key = (uses.caller, uses.client_address, func.coalesce(agent, ""))
    busiest = func.row_number().over(partition_by=uses.caller, order_by=func.count().desc())
    newest = uses.seq > select(func.max(uses.seq) - _MOST_READ).scalar_subquery()
    found = (
        select(*key, func.count(), func.max(uses.timestamp), busiest.label("place"))
        .where(newest, uses.caller.in_(select(caller)))
        .group_by(*key)
        .subquery()
    )
    some = select(*list(found.c)[:-1]).where(found.c.place < MOST_CLIENTS)
    connection.execute(insert(schema.clients).from_select(list(schema.clients.c), some))


MIGRATIONS: Final[dict[int, Callable[[Connection], None]]] = {
    0: _sum_what_was_single,
    1: _tell_stops_and_dry_runs,
    2: _tell_traffic_and_clients,
}
