"""Opening a ledger file or the fleet, and bringing its tables up to date."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from shim import to_install
from shim.ledger.errors import LedgerError
from shim.ledger.tables import schema
from shim.ledger.tables.facts import write_identity
from shim.ledger.tables.migrations import MIGRATIONS
from shim.ledger.tables.schema import FLEET_SCHEMA

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

_MEMORY: Final = "file:restate-shim-"
# Statements end by themselves a little before.
ANSWER_SECONDS: Final = 20.0


def is_fleet(source: Path | str) -> bool:
    """Tell whether ``source`` is a PostgreSQL address and not a file."""
    return str(source).startswith(("postgresql://", "postgres://"))


def is_memory(source: Path | str) -> bool:
    """Tell whether ``source`` came from :func:`memory_source`."""
    return str(source).startswith(_MEMORY)


def memory_source() -> str:
    """Return the name of a new ledger that lives as long as a connection to it is open."""
    return f"{_MEMORY}{uuid.uuid4().hex}?mode=memory&cache=shared"


def say(error: BaseException) -> str:
    """Return one line that says what went wrong, without statement or values."""
    reason = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(reason).strip().splitlines() or [type(reason).__name__])[0]


@contextmanager
def time_limit(connection: Connection, seconds: float = ANSWER_SECONDS) -> Iterator[None]:
    """Break a connection to the fleet on which what is done within takes longer.

    A server that was stopped, or a network that swallows what it carries, never says so, and a
    driver waits for ever.  Raise :class:`LedgerError` then.  A file's own limits do for a ledger.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    with _driver_limit(connection.connection.driver_connection, seconds):
        yield


@contextmanager
def _driver_limit(driver: Any, seconds: float) -> Iterator[None]:
    late = threading.Event()

    def break_off(duplicate: socket.socket) -> None:
        late.set()
        with contextlib.suppress(OSError):
            duplicate.shutdown(socket.SHUT_RDWR)

    with socket.socket(fileno=os.dup(driver.fileno())) as duplicate:
        timer = threading.Timer(seconds, break_off, (duplicate,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            if late.is_set():
                raise LedgerError(f"the fleet did not answer within {seconds:g} s") from error
            raise
        finally:
            timer.cancel()


@contextmanager
def reading(source: Path | str) -> Iterator[None]:
    """Turn what a database says into a :class:`LedgerError`: damage shows only as one reads."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        what = "the fleet" if is_fleet(source) else f"the ledger {source}"
        raise LedgerError(f"cannot read or write {what}: {say(error)}") from error


def open_ledger(source: Path | str, *, busy_seconds: float = 1.0) -> Connection:
    """Open the ledger for writing; create file, folder (one level) and tables where missing.

    A commit is on the disk when it returns: WAL with ``synchronous=FULL`` syncs the log each time.
    """
    if not is_memory(source):
        _make_folder(Path(source).parent)
    pragmas = (
        *("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=67108864"),
        # Pages of sums change with every group; the fewer checkpoints, the less often each is
        # copied. At 16 MiB of log a start after a crash still takes no time to speak of.
        "wal_autocheckpoint=4000",
        # What is written is new, or one of a few sums: KiB enough, of 2 MiB unless said.
        "cache_size=-512",
    )
    connection = _sqlite(_uri(source, "rwc"), "BEGIN IMMEDIATE", busy_seconds, pragmas).connect()
    try:
        with connection.begin():
            _bring_up_to_date(connection, None)
    except BaseException:
        connection.close()
        raise
    return connection


def set_sync(connection: Connection, *, full: bool) -> None:
    """Let the commits of a ledger wait for the disk (``full``), or only for the system."""
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")


def open_fleet(url: str, answer_seconds: float = ANSWER_SECONDS) -> Connection:
    """Open the fleet and create its tables, in the schema ``restate_shim``, where missing."""
    connection = _connected(_fleet(url), answer_seconds)
    try:
        with time_limit(connection, answer_seconds), connection.begin():
            # Two shims may start at once, and CREATE … IF NOT EXISTS is no protection from that.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(8230107145)")
            if not inspect(connection).has_schema(FLEET_SCHEMA):
                connection.exec_driver_sql(f"CREATE SCHEMA {FLEET_SCHEMA}")
            _bring_up_to_date(connection, FLEET_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(source: Path | str) -> Connection:
    """Open a ledger or the fleet for reading, also while shims write; raise :class:`LedgerError`.

    A ledger may lie on a read-only disk.
    """
    if is_fleet(source):
        return _checked(_fleet(str(source)), "the fleet", FLEET_SCHEMA)
    if is_memory(source):
        # The only way not to wait for the writer, which shares its pages with this reader.
        pragmas = ("read_uncommitted=1",)
        return _checked(_sqlite(_uri(source, "ro"), "BEGIN", 5.0, pragmas), "the ledger", None)
    if not Path(source).is_file():
        raise LedgerError(f"there is no ledger {source}")
    uri = _uri(source, "ro")
    what = f"the ledger {source}"
    try:
        return _checked(_sqlite(uri, "BEGIN", 5.0), what, None)
    except LedgerError as error:
        log = Path(f"{source}-wal")
        refused = isinstance(error.__cause__, DBAPIError) and (
            "unable to open" in str(error) or "readonly" in str(error)
        )
        if not refused or (log.exists() and log.stat().st_size):
            raise
    # A read-only folder has no room for the file that readers of a write-ahead log share; without
    # anything in the log the ledger is complete by itself.
    return _checked(_sqlite(f"{uri}&immutable=1", "BEGIN", 5.0), what, None)


def _connected(engine: Engine, seconds: float = ANSWER_SECONDS) -> Connection:
    """Connect, with a time limit for what SQLAlchemy asks of the fleet before all else."""
    if engine.dialect.name != "postgresql":
        return engine.connect()
    with contextlib.ExitStack() as stack:

        def limit(driver: Any, _: object) -> None:
            stack.enter_context(_driver_limit(driver, seconds))

        # Before SQLAlchemy's own listener, which asks.
        event.listen(engine, "connect", limit, insert=True)
        try:
            return engine.connect()
        finally:
            event.remove(engine, "connect", limit)


def _checked(engine: Engine, what: str, namespace: str | None) -> Connection:
    try:
        connection = _connected(engine)
    except DBAPIError as error:
        raise LedgerError(f"cannot open {what}: {say(error)}") from error
    try:
        with time_limit(connection):
            _require_current(_version(connection, namespace), what)
            connection.rollback()
    except DBAPIError as error:
        connection.close()
        raise LedgerError(f"cannot read {what}: {say(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: Connection, namespace: str | None) -> int | None:
    tables = inspect(connection).get_table_names(schema=namespace)
    if schema.schema_version.name in tables:
        version: int = connection.execute(select(schema.schema_version.c.version)).scalar_one()
        return version
    return 0 if schema.uses.name in tables else None


def holds(connection: Connection, table: Table) -> bool:
    """Tell whether a ledger or fleet that an older version has written has ``table``."""
    namespace = None if connection.dialect.name == "sqlite" else FLEET_SCHEMA
    return inspect(connection).has_table(table.name, schema=namespace)


def _require_current(version: int | None, what: str) -> None:
    if version is None:
        raise LedgerError(f"{what} is empty: no shim has written to it")
    _refuse_newer(version)
    if version < schema.OLDEST_READABLE:
        raise LedgerError(
            f"{what} has schema {version}, older than {schema.OLDEST_READABLE}: "
            "start restate-shim serve with it once, which brings it up to date"
        )


def _refuse_newer(version: int) -> None:
    if version > schema.SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger has schema {version}, written by a newer restate-shim; this one knows "
            f"{schema.SCHEMA_VERSION}: use that version, or another ledger"
        )


def _bring_up_to_date(connection: Connection, namespace: str | None) -> None:
    version = _version(connection, namespace)
    if version is None:
        schema.metadata.create_all(connection)
        connection.execute(insert(schema.schema_version).values(version=schema.SCHEMA_VERSION))
        write_identity(connection)
        return
    _refuse_newer(version)
    if version == schema.SCHEMA_VERSION:
        return
    for number in range(version, schema.SCHEMA_VERSION):
        MIGRATIONS[number](connection)
    connection.execute(update(schema.schema_version).values(version=schema.SCHEMA_VERSION))


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        raise LedgerError(
            f"the ledger's folder {folder} is missing, and so is {folder.parent}: "
            "make them, or mount the volume"
        )
    folder.mkdir(exist_ok=True)


def _sqlite(uri: str, begin: str, busy_seconds: float, pragmas: tuple[str, ...] = ()) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=busy_seconds, check_same_thread=False
        )
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    # The sqlite3 module would begin transactions by itself, and leave tables and indices out.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _fleet(url: str) -> Engine:
    try:
        import psycopg  # noqa: PLC0415 - an extra: only those with a fleet have it
    except ImportError as error:
        raise LedgerError(f"a fleet needs psycopg; {to_install('fleet')}") from error

    try:
        # libpq reads the address itself: several hosts, sockets, service files.
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # What libpq says holds the address, and with it the password.
        raise LedgerError(
            "the fleet's address cannot be read; it looks like "
            "postgresql://user:password@host:5432/database?sslmode=verify-full"
        ) from None
    defaults: dict[str, Any] = {
        "connect_timeout": 5,
        "tcp_user_timeout": 15_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": "-c statement_timeout=15s -c lock_timeout=10s",
        "application_name": "restate-shim",
    }

    def connect() -> Any:
        return psycopg.connect(**(defaults | given))

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        poolclass=NullPool,
        hide_parameters=True,
        execution_options={"schema_translate_map": {None: FLEET_SCHEMA}},
    )


def _uri(source: Path | str, mode: str) -> str:
    if is_memory(source):
        return str(source)
    quoted = str(source).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{quoted}?mode={mode}"
