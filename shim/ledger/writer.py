"""The thread that owns the connection to the ledger."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shim.ledger.heartbeat import Heartbeat
from shim.ledger.inbox import COUNT_KEYS, Inbox
from shim.ledger.records import OTHER, decode, encode
from shim.ledger.tables import schema, writing
from shim.ledger.tables.opening import LedgerError, is_memory, open_ledger, say, set_sync
from shim.ledger.tables.schema import to_ms
from shim.ledger.tables.writing import Batch, Names

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from sqlalchemy import Connection

_GROUP: Final = 1000
# Seconds between the beginnings of two groups under load.  At 5,000 uses a second a group is 25
# uses then and a use costs 40 µs of CPU; without it groups are of one or two, at 130 µs.
_PACE: Final = 0.005
# Seconds after which a heartbeat alone is brought to the disk itself.  One that is only handed to
# the system survives the end of the process, which is what it tells of, and wears no disk.
_SYNC_EVERY: Final = 10.0
_FIRST_DELAY: Final = 0.1
_LAST_DELAY: Final = 5.0
_PRUNE_EVERY: Final = 60.0
_PRUNE_STEP: Final = 500

# What no disk, lock or restart will cure: the record itself does not fit.
_UNFIT: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    TypeError,
    ValueError,
)


class Writer(threading.Thread):
    """Commits what is in the inbox, in groups, for as long as it takes.

    ``opened`` gets the callers that were let through before, ``settled`` the futures of a group
    that is durable, ``failed`` an error or ``None`` when things work again; all are called in this
    thread.
    """

    def __init__(
        self,
        source: Path | str,
        inbox: Inbox,
        *,
        heartbeat: Heartbeat,
        clock: Callable[[], datetime],
        retain: timedelta,
        caller_cap: int,
        opened: Callable[[list[str]], None],
        settled: Callable[[list[asyncio.Future[bool]]], None],
        failed: Callable[[str | None], None],
    ) -> None:
        super().__init__(name="ledger", daemon=True)
        self.written = 0
        self.unfit = 0
        self.commit_seconds: float | None = None
        self.holding = 0
        self.outbox = False
        self.shipped: dict[str, int] | None = None
        self._source = source
        self._inbox = inbox
        self._heartbeat = heartbeat
        self._clock = clock
        self._retain = retain
        self._names = Names(caller_cap)
        self._opened, self._settled, self._failed = opened, settled, failed
        self._stop_by: float | None = None
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._batch = Batch()
        self._futures: list[asyncio.Future[bool]] = []
        self._phases: list[tuple[int, str]] = []
        self._phase: str | None = None
        self._lost = 0
        self._committed_at = self._synced_at = -math.inf
        self._syncs = True
        self._works = False
        self._delay = _FIRST_DELAY
        self._prune_at = 0.0

    def stop(self, seconds: float) -> None:
        """Let the thread write what there is and end within ``seconds``."""
        self._stop_by = time.monotonic() + seconds
        self._inbox.wake.set()

    def run(self) -> None:
        """Write until stopped."""
        while True:
            try:
                self._open()
                if self._work():
                    break
            except Exception as error:  # noqa: BLE001 - no fault of a disk or of ours may end this
                self._close()
                self._works = False
                if isinstance(error, _UNFIT):
                    self._set_unfit_aside()
                self._failed(_explain(error, self._source))
            if self._stop_by is not None and time.monotonic() + self._delay > self._stop_by:
                break
            # Bounded by the interval of the heartbeat, which goes on while nothing can be written.
            self._wait(self._delay)
            self._delay = min(2 * self._delay, _LAST_DELAY)
        self._close()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._stop_by is None:
            time.sleep(min(left, 0.2))
        self._note_lost()
        self._heartbeat.alive(to_ms(self._clock()))

    def _note_lost(self) -> None:
        if self._inbox.lost + self.unfit > self._lost:
            self._lost = self._inbox.lost + self.unfit
            self._heartbeat.broken()

    def _open(self) -> None:
        if self._connection is not None:
            return
        connection = open_ledger(self._source)
        try:
            with connection.begin():
                self._names.load(connection)
                self._heartbeat.load(connection, to_ms(self._clock()))
                phases = schema.phases.c
                mine = select(phases.phase).where(phases.instance == self._heartbeat.instance)
                self._phase = connection.execute(
                    mine.order_by(phases.moment.desc()).limit(1)
                ).scalar()
                known = list(writing.admitted_callers(connection))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        # The first thing is a heartbeat: only a commit shows that the disk takes one.
        self._committed_at = self._synced_at = -math.inf
        self._syncs = True
        self._file = _identity(self._source)
        self._opened(known)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except (SQLAlchemyError, sqlite3.Error):
                # Closing rolls back, which fails where the disk does; the file is let go anyway.
                connection.invalidate()

    def _work(self) -> bool:
        """Commit group after group; return true when all is written after :meth:`stop`."""
        inbox = self._inbox
        while True:
            inbox.wake.clear()
            stopping = self._stop_by is not None
            self._take()
            started = time.monotonic()
            last = stopping and not inbox.records
            due = self._committed_at + self._heartbeat.interval - started
            if self._batch != _NOTHING or self._phases or due <= 0 or stopping:
                self._commit(started, last=last)
                due = self._heartbeat.interval
            if last:
                return True
            if self._prune(started) or inbox.records:
                # A group that is begun a little later is a larger group.
                time.sleep(max(0.0, started + _PACE - time.monotonic()))
            elif inbox.wake.wait(due):
                time.sleep(max(0.0, self._committed_at + _PACE - time.monotonic()))

    def _take(self) -> None:
        batch, futures, records = self._batch, self._futures, self._inbox.records
        while records and len(futures) < _GROUP:
            record, future = records.popleft()
            futures.append(future)
            batch.records.append(record)
        self.holding = len(futures)
        for key, tally in self._inbox.take_counts().items():
            full = len(batch.counts) >= COUNT_KEYS and key not in batch.counts
            writing.add(batch.counts, (key[0], OTHER, *key[2:]) if full else key, tally)
        while self._inbox.phases:
            self._phases.append(self._inbox.phases.popleft())

    def _commit(self, started: float, *, last: bool) -> None:
        assert self._connection is not None
        self._note_lost()
        told = last or self._batch != _NOTHING or bool(self._phases)
        self._sync(wanted=told or started - self._synced_at >= _SYNC_EVERY)
        now = to_ms(self._clock())
        instance = self._heartbeat.instance
        current, changes = self._phase, []
        for moment, phase in self._phases:
            if phase != current:
                changes.append((instance, moment, phase))
            current = phase

        def also(connection: Connection) -> None:
            writing.write_phases(connection, changes)
            self._heartbeat.beat(connection, now, stopped=last)

        new = writing.write(
            self._connection, self._batch, self._names, also=also, outbox=self.outbox
        )
        self._committed_at = time.monotonic()
        if self._syncs:
            self._synced_at = self._committed_at
        if self._file != _identity(self._source):
            self._heartbeat.broken()
            raise LedgerError(f"the ledger {self._source} was removed or replaced while in use")
        self.commit_seconds = self._committed_at - started
        self.written += new
        futures, self._futures = self._futures, []
        self._batch = Batch()
        self._phase = current
        self._phases.clear()
        self.holding = 0
        self._delay = _FIRST_DELAY
        if not self._works:
            self._works = True
            self._failed(None)
        if futures:
            self._settled(futures)

    def _sync(self, *, wanted: bool) -> None:
        """Let commits wait for the disk, or not."""
        if wanted is not self._syncs:
            assert self._connection is not None
            set_sync(self._connection, full=wanted)
            self._syncs = wanted

    def _prune(self, now: float) -> bool:
        """Take one small step of retention when it is time; return true when there is more."""
        assert self._connection is not None
        if now < self._prune_at:
            return False
        shipped = self.shipped
        if self.outbox and shipped is None:
            return False
        if shipped is not None:
            writing.drop_shipped(self._connection, shipped.get(schema.outbox.name, 0))
        before = to_ms(self._clock() - self._retain)
        gone = writing.prune(
            self._connection, before, limit=_PRUNE_STEP, shipped=shipped if self.outbox else None
        )
        if gone < _PRUNE_STEP:
            self._prune_at = now + _PRUNE_EVERY
        return gone >= _PRUNE_STEP

    def _set_unfit_aside(self) -> None:
        """Try every record of the group by itself, and lose those that can never be written."""
        records, self._batch.records = self._batch.records, []
        for record in records:
            try:
                # What can be written as a line and read again has all that a database asks for.
                self._batch.records.append(decode(encode(record)))
            except _UNFIT:
                self.unfit += 1


_NOTHING: Final = Batch()


def _identity(source: Path | str) -> tuple[int, int] | None:
    if is_memory(source):
        return None
    try:
        status = os.stat(source)  # noqa: PTH116 - once per group, and Path costs ten times as much
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _explain(error: Exception, source: Path | str) -> str:
    said = say(error)
    if isinstance(error, LedgerError):
        return said
    if "not a database" in said or "malformed" in said:
        return f"the ledger {source} is damaged ({said}): move it away, and a new one is begun"
    return f"the ledger {source} cannot be written: {said}"
