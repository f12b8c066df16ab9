"""The tables, once for SQLite and PostgreSQL.

Times are whole milliseconds since 1970 in UTC, hours and days whole numbers of them since then.
In the sums, ``''`` and 0 stand for "does not apply", because a primary key takes no NULL.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

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

from shim.ledger.records import OPTIONAL, Decision, without_defaults
from shim.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from shim.ledger.records import NearMiss, Use

SCHEMA_VERSION: Final = 2
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
    comment="ledger: its identity; pruned_before: single uses older than this are gone",
)

USE_FIELDS: Final = (
    *("id", "timestamp", "caller", "caller_source", "user_agent", "client_address", "request_id"),
    *("trace_id", "target", "api_version", "invocation_id", "mode", "mode_given", "phase"),
    *("decision", "replacement", "upstream_status", "status", "masked", "duration_ms", "error"),
    *("instance", "version", *OPTIONAL),
)
NEAR_MISS_FIELDS: Final = (
    *("id", "timestamp", "caller", "caller_source", "user_agent", "client_address", "request_id"),
    *("trace_id", "method", "target", "kind", "hint", "status", "instance", "version"),
)
_TYPES: Final[dict[str, Any]] = {
    "timestamp": BigInteger,
    "upstream_status": Integer,
    "status": Integer,
    "masked": Boolean,
    **dict.fromkeys(OPTIONAL, Boolean),
    "duration_ms": Double,
}
_MAY_BE_MISSING: Final = frozenset(
    (
        *("user_agent", "request_id", "trace_id", "api_version", "mode", "mode_given"),
        *("upstream_status", "error"),
    )
)


def _records(name: str, fields: tuple[str, ...]) -> Table:
    columns = [
        Column(
            field,
            _TYPES.get(field, Text),
            nullable=field in _MAY_BE_MISSING,
            server_default=false() if field in OPTIONAL else None,
            unique=field == "id",
            index=field == "timestamp",
        )
        for field in fields
    ]
    # AUTOINCREMENT: a number is never given twice, even when retention has emptied the table; the
    # fleet is told how far it has got by this number.
    seq = Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    return Table(name, metadata, seq, *columns, sqlite_autoincrement=True)


uses: Final = _records("uses", USE_FIELDS)
near_misses: Final = _records("near_misses", NEAR_MISS_FIELDS)

SUM_KEY: Final = (
    *("caller", "kind", "instance", "caller_source"),
    *("mode", "decision", "upstream_status", "masked"),
)


def _sums(name: str, period: str | None) -> Table:
    key = SUM_KEY if period is None else (period, *SUM_KEY)
    types = _TYPES | {"hour": Integer, "day": Integer}
    return Table(
        name,
        metadata,
        *(Column(field, types.get(field, Text), nullable=False) for field in key),
        Column("count", BigInteger, nullable=False),
        Column("first", BigInteger, nullable=False),
        Column("last", BigInteger, nullable=False),
        PrimaryKeyConstraint(*key),
        sqlite_with_rowid=False,
    )


hours: Final = _sums("hours", "hour")
days: Final = _sums("days", "day")
totals: Final = _sums("totals", None)

# What the fleet has yet to hear of calls to the new endpoints, which have no identity of their own;
# empty where there is no fleet.
outbox: Final = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("hour", Integer, nullable=False),
    *(Column(field, _TYPES.get(field, Text), nullable=False) for field in SUM_KEY),
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
_use_values: Final[Callable[[Use], Row]] = attrgetter(*USE_FIELDS)
_near_miss_values: Final[Callable[[NearMiss], Row]] = attrgetter(*NEAR_MISS_FIELDS)


def use_row(use: Use) -> Row:
    """Return the values of ``use`` in the order of :data:`USE_FIELDS`."""
    values = _use_values(use)
    return (values[0], to_ms(use.timestamp), *values[2:])


def near_miss_row(near_miss: NearMiss) -> Row:
    """Return the values of ``near_miss`` in the order of :data:`NEAR_MISS_FIELDS`."""
    values = _near_miss_values(near_miss)
    return (values[0], to_ms(near_miss.timestamp), *values[2:])


def as_json(fields: tuple[str, ...], row: Row) -> dict[str, Any]:
    """Return a stored row as ``Use.as_dict`` or ``NearMiss.as_dict`` gives it."""
    values = dict(zip(fields, row, strict=True))
    values["timestamp"] = rfc3339(from_ms(values["timestamp"]))
    if "decision" in values:
        values["decision"] = Decision(values["decision"])
        without_defaults(values)
    return values
