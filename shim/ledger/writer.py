"""The thread that owns the connection to the ledger."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from shim.ledger.evidence import Kind
from shim.ledger.heartbeat import Heartbeat
from shim.ledger.inbox import Inbox, Look, put
from shim.ledger.journal import Leftovers, Segments, take_over
from shim.ledger.records import Told, Use, decode, encode
from shim.ledger.retention import Retention
from shim.ledger.signs import drop_signs, sign_lost
from shim.ledger.tables import schema, writing
from shim.ledger.tables.opening import LedgerError, is_memory, open_ledger, say, set_sync
from shim.ledger.tables.schema import HOUR, from_ms, to_ms
from shim.ledger.tables.writing import Batch, Names

if TYPE_CHECKING:
    from sqlalchemy import Connection

_GROUP: Final = 1000
# Seconds after which a heartbeat alone is brought to the disk itself.  One that is only handed to
# the system survives the end of the process, which is what it tells of, and wears no disk.
_SYNC_EVERY: Final = 10.0
_FIRST_DELAY: Final = 0.1
_LAST_DELAY: Final = 5.0
_PRUNE_EVERY: Final = 60.0
_TAKE_OVER_EVERY: Final = 60.0
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

    It works when ``inbox.wake`` is set.  What of the journal the ledger has goes from
    ``segments``; what other processes left there is read back.  ``known`` gets the callers that
    were let through before, ``failed`` an error or ``None`` when things work again; both are called
    in this thread.
    """

    def __init__(
        self,
        source: Path | str,
        inbox: Inbox,
        segments: Segments | None,
        *,
        heartbeat: Heartbeat,
        clock: Callable[[], datetime],
        retention: Retention,
        caller_cap: int,
        known: Callable[[list[str]], None],
        failed: Callable[[str | None], None],
    ) -> None:
        super().__init__(name="ledger", daemon=True)
        self.written = 0
        self.unfit = 0
        self.commit_seconds: float | None = None
        self.kept = 0
        """How many of the records that there ever were the ledger has, on the disk."""
        self.began: float | None = None
        """Since when the disk has been taking a group (``time.monotonic``)."""
        self.ships = False
        """Whether there is a fleet, which is to get all that is counted."""
        self.shipped: dict[str, int] | None = None
        self._source = source
        self._inbox = inbox
        self._segments = segments
        self._left = Leftovers()
        self._heartbeat = heartbeat
        self._clock = clock
        self._retention = retention
        self._names = Names(caller_cap)
        self._known, self._failed = known, failed
        self._stop_by: float | None = None
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._batch = Batch()
        self._taken = 0
        self._passed = 0
        self._hour = -1
        self._lost = 0
        self._committed_at = self._synced_at = -math.inf
        self._syncs = True
        self._began = self._works = False
        self._delay = _FIRST_DELAY
        self._prune_at = 0.0
        self._take_over_at = 0.0
        self._horizon = 0

    @property
    def instance(self) -> str:
        """The name under which this process records."""
        return self._heartbeat.instance

    def group(self) -> list[Told]:
        """Return what has been taken and may not be in the ledger yet."""
        return list(self._batch.records)

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
                self.began = None
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
        self._left.close()
        if self._segments is not None:
            self._segments.close(self.kept)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._stop_by is None:
            time.sleep(min(left, 0.2))
        self._note_lost()
        self._heartbeat.alive(self._inbox.seen)

    def _note_lost(self) -> None:
        if self._inbox.lost + self.unfit > self._lost:
            self._lost = self._inbox.lost + self.unfit
            self._heartbeat.broken()
            if self._segments is not None:
                sign_lost(Path(self._source))

    def _open(self) -> None:
        if self._connection is not None:
            return
        connection = open_ledger(self._source)
        try:
            with connection.begin():
                self._names.load(connection)
                self._retention.load(connection)
                self._heartbeat.load(connection, to_ms(self._clock()))
                known = list(writing.admitted_callers(connection))
                if not self._began:
                    newest = writing.highest(connection, schema.outbox)
                    writing.write_fact(connection, writing.BEGAN, str(newest))
                self._horizon = int(writing.read_fact(connection, "pruned_before") or 0)
        except BaseException:
            connection.close()
            raise
        self._began = True
        self._connection = connection
        # The first thing is a heartbeat: only a commit shows that the disk takes one.
        self._committed_at = self._synced_at = -math.inf
        self._syncs = True
        self._file = _identity(self._source)
        self._known(known)

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
            # What was told by then is in this group or in one before it.
            look = inbox.seen
            self._take()
            self._take_passed(look)
            started = time.monotonic()
            last = stopping and not inbox.records and not self._left
            due = self._committed_at + self._heartbeat.interval - started
            if self._batch != _NOTHING or due <= 0 or stopping:
                whole = self._taken >= look.told and not self._only_journaled()
                life = partial(self._heartbeat.beat, look=look, stopped=last)
                self._commit(started, life if whole else None, last=last)
                due = self._heartbeat.interval
            if last:
                return True
            more = self._prune(started) or len(inbox.records) >= _GROUP or self._left
            if not (more or stopping):
                # What comes meanwhile is written together.
                inbox.wake.wait(due)

    def _only_journaled(self) -> bool:
        """Tell whether a record of this process is in the journal alone."""
        segments = self._segments
        return segments is not None and (segments.hold_only or self._left.hold_only)

    def _take(self) -> None:
        batch, records = self._batch, self._inbox.records
        while records and len(batch.records) < _GROUP:
            batch.records.append(records.popleft())
            self._taken += 1
        for key, tally in self._inbox.take_counts().items():
            put(batch.counts, key, tally)
        if not self._left:
            return
        left = self._left.take(_GROUP - len(batch.records))
        # Whether an older one was counted can no longer be told.
        left = [record for record in left if to_ms(record.timestamp) >= self._horizon]
        batch.records.extend(left)
        if not batch.records:
            # What was read before has been written.
            self._left.kept()
        self._known([one.caller for one in left if isinstance(one, Use) and one.admitted])

    def _take_passed(self, look: Look) -> None:
        """Count what has passed since the last time, and in each hour that there is one: maybe 0.

        What is behind ``look`` is in its hour, to a fraction of a second.
        """
        passed, moment, heard = self._inbox.passed, look.moment, look.heard
        hour = moment // HOUR
        in_doubt = heard is not None and not heard.agrees
        if passed == self._passed and (hour == self._hour or in_doubt):
            return
        kind = Kind.PASSED.value
        key = (hour, "", kind, self.instance, "", "", "", 0, False)
        writing.add(self._batch.counts, key, (passed - self._passed, moment, moment))
        self._passed, self._hour = passed, hour

    def _commit(
        self, started: float, life: Callable[[Connection], None] | None, *, last: bool
    ) -> None:
        """Write the group, and with it the sign of ``life`` where all is written that was told."""
        assert self._connection is not None
        self.began = started
        self._note_lost()
        counts = self._batch.counts
        calls = [key for key in counts if self.ships or key[2] == Kind.REPLACEMENT_CALL]
        told = last or bool(self._batch.records or calls)
        self._sync(wanted=told or started - self._synced_at >= _SYNC_EVERY)

        new = writing.write(
            self._connection,
            self._batch,
            self._names,
            also=life,
            outbox=[(*key, *counts[key]) for key in calls],
        )
        self._committed_at = time.monotonic()
        if self._syncs:
            self._synced_at = self._committed_at
        if self._file != _identity(self._source):
            self._heartbeat.broken()
            if self._segments is not None:
                self._segments.ledger_replaced()
            raise LedgerError(f"the ledger {self._source} was removed or replaced while in use")
        self.commit_seconds = self._committed_at - started
        self.written += new
        self._batch = Batch()
        # A group with records in it was synced.
        self.kept = self._taken
        self._left.kept()
        self._let_go()
        self.began = None
        self._delay = _FIRST_DELAY
        if not self._works:
            self._works = True
            self._failed(None)

    def _let_go(self) -> None:
        """Let go of what of the journal the ledger has, and take over what others left."""
        if self._segments is None:
            return
        self._left.add(self._segments.keep(self.kept))
        if self._committed_at >= self._take_over_at:
            self._take_over_at = self._committed_at + _TAKE_OVER_EVERY
            self._left.add(take_over(Path(self._source)))

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
        if self.ships and shipped is None:
            return False
        writing.tidy_outbox(
            self._connection, None if shipped is None else shipped.get(schema.outbox.name, 0)
        )
        before = self._retention.before()
        gone = writing.prune(self._connection, before, limit=_PRUNE_STEP, shipped=shipped)
        if gone:
            self._horizon = max(self._horizon, before)
        if gone < _PRUNE_STEP:
            self._prune_at = now + _PRUNE_EVERY
            self._retention.note(self._connection)
            if self._segments is not None:
                drop_signs(Path(self._source), from_ms(before))
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
                self._inbox.lost_by(self._clock())


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
