"""The tables, once for SQLite and PostgreSQL.

Times are whole milliseconds since 1970 in UTC, hours and days whole numbers of them since then.
In the sums, ``''`` and 0 stand for "does not apply", because a primary key takes no NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
from msgspec import structs
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    false,
)

from shim.ledger.records import Decision, Moment, NearMiss, Real, Record, Use, Whole

SCHEMA_VERSION: Final = 3
OLDEST_READABLE: Final = 2
"""What is older has to be brought up to date before it can be read."""
FLEET_SCHEMA: Final = "restate_shim"

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Return the whole milliseconds since 1970 of an aware ``moment``, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the moment in UTC that many ``milliseconds`` after 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_day(number: int) -> date:
    """Return the day that many days after 1970-01-01."""
    return date(1970, 1, 1) + timedelta(days=number)


metadata: Final = MetaData()

schema_version: Final = Table(
    "schema_version", metadata, Column("version", Integer, nullable=False)
)

facts: Final = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="ledger: its identity; pruned_before: single uses older than this are gone; "
    "began: the newest row of the outbox when the process that writes began; "
    "retention_clock: the time that retention goes by has reached this",
)

# What a record's fields, and those of the sums, are in a table.
_TYPES: Final[dict[Any, Any]] = {
    str: Text,
    Decision: Text,
    Moment: BigInteger,
    Whole: Integer,
    Real: Double,
    bool: Boolean,
}
_NULLABLE: Final = {kind | None: column for kind, column in _TYPES.items()}
_SUM_TYPES: Final = {"hour": Integer, "day": Integer, "upstream_status": Integer, "masked": Boolean}


def _records(name: str, kind: type[Record]) -> Table:
    columns = [
        Column(
            field.name,
            (_TYPES | _NULLABLE)[field.type],
            nullable=field.type in _NULLABLE,
            server_default=false() if field.default is False else None,
            unique=field.name == "id",
            index=field.name == "timestamp",
        )
        for field in structs.fields(kind)
    ]
    # AUTOINCREMENT: a number is never given twice, even when retention has emptied the table; the
    # fleet is told how far it has got by this number.
    seq = Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    return Table(name, metadata, seq, *columns, sqlite_autoincrement=True)


uses: Final = _records("uses", Use)
near_misses: Final = _records("near_misses", NearMiss)

TABLES: Final[dict[type, Table]] = {Use: uses, NearMiss: near_misses}

SUM_KEY: Final = (
    *("caller", "kind", "instance", "caller_source"),
    *("mode", "decision", "upstream_status", "masked"),
)


def _sums(name: str, period: str | None) -> Table:
    key = SUM_KEY if period is None else (period, *SUM_KEY)
    return Table(
        name,
        metadata,
        *(Column(field, _SUM_TYPES.get(field, Text), nullable=False) for field in key),
        Column("count", BigInteger, nullable=False),
        Column("first", BigInteger, nullable=False),
        Column("last", BigInteger, nullable=False),
        PrimaryKeyConstraint(*key),
        sqlite_with_rowid=False,
    )


hours: Final = _sums("hours", "hour")
days: Final = _sums("days", "day")
totals: Final = _sums("totals", None)

# What has no identity of its own, as it came: what the fleet has yet to hear of, and the newest
# calls to the new endpoints, which are kept to tell when they were.
outbox: Final = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("hour", Integer, nullable=False),
    *(Column(field, _SUM_TYPES.get(field, Text), nullable=False) for field in SUM_KEY),
    Column("count", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

callers: Final = Table(
    "callers",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("user_agent", Text),
    Column("replacement", Text),
    # Whether a call of this caller was ever let through: what the freeze phase asks.
    Column("admitted", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# Where the uses under each name came from; an empty user agent is none.
clients: Final = Table(
    "clients",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("user_agent", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What each instance carried besides probes; there is a row for each hour in which it was up.
traffic: Final = Table(
    "traffic",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

spans: Final = Table(
    "spans",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("end", BigInteger, nullable=False),
    # Whether the instance was stopped in order at the end.
    Column("stopped", Boolean, nullable=False, server_default=false()),
    sqlite_with_rowid=False,
)

phases: Final = Table(
    "phases",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("moment", BigInteger, primary_key=True, autoincrement=False),
    Column("phase", Text, nullable=False),
    sqlite_with_rowid=False,
)

marks: Final = Table(
    "marks",
    metadata,
    Column("ledger", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    comment="in the fleet: how far each ledger has been shipped",
)

Row = tuple[Any, ...]
AnyRecord = TypeVar("AnyRecord", bound=Record)


def to_row(record: Record) -> Row:
    """Return the values of ``record`` in the order of its fields."""
    id_, timestamp, *others = structs.astuple(record)
    return (id_, to_ms(timestamp), *others)


def from_row(kind: type[AnyRecord], row: Sequence[Any]) -> AnyRecord:
    """Return the record in a row of its table; ``seq`` comes first there."""
    values = dict(zip(kind.__struct_fields__, row[1:], strict=True))
    values["timestamp"] = from_ms(values["timestamp"])
    return msgspec.convert(values, kind)
