"""The fleet: what many ledgers hold, together in one PostgreSQL.

Each shim's ledger is its outbox.  A thread of its own reads what the fleet has yet to get, writes
it there with the same code that wrote the ledger, and notes in the same transaction how far it has
got; so nothing is lost or counted twice, wherever either side is cut off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, func, select

from shim.ledger.errors import LedgerError
from shim.ledger.evidence import Kind
from shim.ledger.records import NearMiss, Use
from shim.ledger.retention import Retention, Shipped
from shim.ledger.tables import facts, schema, tidying, writing
from shim.ledger.tables.opening import open_fleet, open_reader, say, time_limit
from shim.ledger.tables.schema import Row
from shim.ledger.tables.writing import Batch, Names, SumKey

_AT_ONCE: Final = 1000
_LAST_DELAY: Final = 30.0
_PRUNE_STEP: Final = 500
_SINGLE: Final = (schema.uses, schema.near_misses)


class Shipper(threading.Thread):
    """Brings what the ledger at ``source`` holds to the fleet at ``url``, for as long as it takes.

    ``shipped`` is told how far each table has got, ``known`` gets the callers whose calls were let
    through anywhere, and ``changed`` is called when the fleet goes away or comes back; both are
    called in this thread.  ``error`` is ``None`` while all is well, ``unsent`` the number of single
    records that the fleet has yet to get, ``None`` until it was asked.
    """

    def __init__(
        self,
        url: str,
        source: Path | str,
        *,
        retention: Retention,
        shipped: Shipped,
        caller_cap: int,
        every: float,
        answer_seconds: float,
        known: Callable[[list[str]], None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name="fleet", daemon=True)
        self.error: str | None = None
        self.unsent: int | None = None
        self._url = url
        self._source = source
        self._retention = retention
        self._every = every
        self._answer_seconds = answer_seconds
        self._shipped = shipped
        self._known, self._changed = known, changed
        self._names = Names(caller_cap)
        self._ending = threading.Event()
        self._fleet: Connection | None = None
        self._fresh = False
        self._identity = ""
        self._marks: dict[str, int] = {}
        # What the fleet has noted of the outbox.
        self._noted = 0
        self._spans: dict[tuple[str, int], tuple[int, bool]] = {}
        self._phases: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """Let the thread ship once more and end."""
        self._ending.set()

    def run(self) -> None:
        """Ship until stopped."""
        delay = self._every
        while True:
            last = self._ending.is_set()
            try:
                self._ship()
            except Exception as error:  # noqa: BLE001 - no fault of network or server may end this
                stale = not self._fresh and self._fleet is not None
                self._hang_up()
                if stale:
                    # The server was restarted since the last round: a new connection may do.
                    continue
                self._tell(self._explain(error))
                delay = min(2 * delay, _LAST_DELAY)
            else:
                self._fresh = False
                self._tell(None)
                delay = self._every
            if last:
                break
            self._ending.wait(delay)
        self._hang_up()

    def _tell(self, error: str | None) -> None:
        turned = (error is None) != (self.error is None)
        self.error = error
        if turned:
            self._changed()

    def _explain(self, error: Exception) -> str:
        if isinstance(error, LedgerError):
            return str(error)
        return f"the fleet cannot be reached or written: {say(error)}"

    def _hang_up(self) -> None:
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            try:
                fleet.close()
            except Exception:  # noqa: BLE001 - the connection is broken already
                fleet.invalidate()

    def _ship(self) -> None:
        with closing(open_reader(self._source)) as ledger:
            fleet = self._connected(ledger)
            for table in (*_SINGLE, schema.outbox):
                while rows := self._unsent(ledger, table):
                    self._send(fleet, table, rows)
            self._send_spans(ledger, fleet)
        self.unsent = 0
        self._shipped.marks = dict(self._marks)
        with time_limit(fleet, self._answer_seconds):
            self._known(list(facts.admitted_callers(fleet)))
            # A shim that has only just begun its ledger has no other clock to go by.
            seconds = fleet.execute(select(func.extract("epoch", func.now()))).scalar_one()
            fleet.rollback()
            before = self._retention.before(int(seconds * 1000))
            tidying.prune(fleet, before, limit=_PRUNE_STEP)
            tidying.tidy_calls(fleet)

    def _connected(self, ledger: Connection) -> Connection:
        identity = facts.identity(ledger)
        self._count_unsent(ledger)
        if self._fleet is not None and identity == self._identity:
            return self._fleet
        self._hang_up()
        self._fresh = True
        fleet = self._fleet = open_fleet(self._url, self._answer_seconds)
        marks = schema.marks.c
        mine = select(marks.stream, marks.seq).where(marks.ledger == identity)
        with time_limit(fleet, self._answer_seconds), fleet.begin():
            self._marks = {row.stream: row.seq for row in fleet.execute(mine)}
            self._names.load(fleet)
            # Single records older than this are gone there, though they were counted.
            horizon = facts.horizon(fleet)
            goes_on = all(self._goes_on(ledger, fleet, table, horizon) for table in _SINGLE)
        counted = self._noted = self._marks.get(schema.outbox.name, 0)
        if not goes_on:
            # The ledger was put back from a copy: its numbers begin again at some older one.
            # What the fleet has already it takes for what it is, by its id.
            self._marks = {table.name: _before(ledger, table, horizon) for table in _SINGLE}
        if not goes_on or _last_number(ledger, schema.outbox) < counted:
            # Counts have none: what was in the copy had been shipped, what came since was not.
            began = int(facts.read_fact(ledger, facts.BEGAN) or 0)
            self._marks[schema.outbox.name] = min(counted, began)
        self._identity = identity
        self._spans.clear()
        self._phases.clear()
        return fleet

    def _goes_on(self, ledger: Connection, fleet: Connection, table: Table, horizon: int) -> bool:
        """Tell whether the ledger holds what comes after what was shipped from it last."""
        mark, highest = self._marks.get(table.name, 0), facts.highest(ledger, table)
        shipped = select(table.c.id, table.c.timestamp).where(table.c.seq <= mark)
        last = ledger.execute(shipped.order_by(table.c.seq.desc()).limit(1)).first()
        if last is None or last.timestamp < horizon:
            return True
        found = fleet.execute(select(table.c.id).where(table.c.id == last.id)).scalar()
        return mark <= highest and found is not None

    def _count_unsent(self, ledger: Connection) -> None:
        self.unsent = sum(
            max(0, facts.highest(ledger, table) - self._marks.get(table.name, 0))
            for table in _SINGLE
        )
        ledger.rollback()

    def _unsent(self, ledger: Connection, table: Table) -> Sequence[Any]:
        after = table.c.seq > self._marks.get(table.name, 0)
        rows = ledger.execute(
            select(table).where(after).order_by(table.c.seq).limit(_AT_ONCE)
        ).all()
        # A reader that stays makes the ledger's log grow.
        ledger.rollback()
        return rows

    def _send(self, fleet: Connection, table: Table, rows: Sequence[Any]) -> None:
        mark = rows[-1][0]
        batch = Batch()
        calls: list[Row] = []
        if table is schema.outbox:
            for _, *key, count, first, last in rows:
                writing.add(batch.counts, SumKey(*key), (count, first, last))
            calls = [tuple(row[1:]) for row in rows if row.kind == Kind.REPLACEMENT_CALL]
        else:
            kind = Use if table is schema.uses else NearMiss
            batch.records = [schema.from_row(kind, row) for row in rows]
        with time_limit(fleet, self._answer_seconds), self._names.transaction(fleet):
            writing.write(fleet, batch, self._names)
            writing.write_outbox(fleet, calls)
            noted = facts.read_mark(fleet, self._identity, table.name)
            if table is schema.outbox and noted != self._noted:
                # Counts have no identity by which the second time would change nothing.
                raise LedgerError("another process ships what this ledger has counted")
            facts.write_mark(fleet, self._identity, table.name, mark)
        self._marks[table.name] = mark
        if table is schema.outbox:
            self._noted = mark
        if self.unsent is not None and table is not schema.outbox:
            self.unsent = max(0, self.unsent - len(rows))

    def _send_spans(self, ledger: Connection, fleet: Connection) -> None:
        spans = {
            (row.instance, row.start): (row.end, row.stopped)
            for row in ledger.execute(select(schema.spans))
        }
        phases = {
            (row.instance, row.moment): row.phase for row in ledger.execute(select(schema.phases))
        }
        ledger.rollback()
        fresh = [(*key, *end) for key, end in spans.items() if self._spans.get(key) != end]
        new = [(*key, phase) for key, phase in phases.items() if key not in self._phases]
        with time_limit(fleet, self._answer_seconds), fleet.begin():
            writing.write_spans(fleet, fresh)
            writing.write_phases(fleet, new)
        self._spans = spans
        self._phases = set(phases)


def _last_number(ledger: Connection, table: Table) -> int:
    """Return the last number that a row of ``table`` was given, 0 where there is none."""
    query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    return int(ledger.exec_driver_sql(query, (table.name,)).scalar() or 0)


def _before(ledger: Connection, table: Table, horizon: int) -> int:
    """Return the number of the newest record older than ``horizon``, 0 where there is none."""
    older = select(func.max(table.c.seq)).where(table.c.timestamp < horizon)
    return int(ledger.execute(older).scalar() or 0)
