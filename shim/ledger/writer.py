"""The thread that owns the connection to the ledger."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from shim.ledger.errors import LedgerError
from shim.ledger.evidence import Kind
from shim.ledger.gathering import UNFIT, Gathering
from shim.ledger.heartbeat import Heartbeat
from shim.ledger.inbox import Inbox, Look
from shim.ledger.leftovers import take_over
from shim.ledger.records import Told
from shim.ledger.retention import Retention, Shipped
from shim.ledger.segments import Segments
from shim.ledger.signs import drop_signs, sign_lost
from shim.ledger.tables import facts, schema, tidying, writing
from shim.ledger.tables.opening import is_memory, open_ledger, say, set_sync
from shim.ledger.tables.schema import from_ms, to_ms
from shim.ledger.tables.writing import Names

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Seconds after which a heartbeat alone is brought to the disk itself.  One that is only handed to
# the system survives the end of the process, which is what it tells of, and wears no disk.
_SYNC_EVERY: Final = 10.0
_FIRST_DELAY: Final = 0.1
_LAST_DELAY: Final = 5.0
_PRUNE_EVERY: Final = 60.0
_TAKE_OVER_EVERY: Final = 60.0
_PRUNE_STEP: Final = 500


class Writer(threading.Thread):
    """Commits what is in the inbox, in groups, for as long as it takes.

    It works when ``inbox.wake`` is set.  What of the journal the ledger has goes from
    ``segments``; what other processes left there is read back.  Where ``shipped`` is wanted,
    all that is counted goes to the outbox.  ``known`` gets the callers that were let through
    before, ``failed`` an error or ``None`` when things work again; both are called in this thread.
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
        shipped: Shipped,
        caller_cap: int,
        known: Callable[[list[str]], None],
        failed: Callable[[str | None], None],
    ) -> None:
        super().__init__(name="ledger", daemon=True)
        self.written = 0
        self.commit_seconds: float | None = None
        self.began: float | None = None
        """Since when the disk has been taking a group (``time.monotonic``)."""
        self._source = source
        self._inbox = inbox
        self._next = Gathering(inbox, heartbeat.instance)
        self._segments = segments
        self._heartbeat = heartbeat
        self._clock = clock
        self._retention = retention
        self._shipped = shipped
        self._names = Names(caller_cap)
        self._known, self._failed = known, failed
        self._stop_by: float | None = None
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None
        # The ledger has the records up to this number, on the disk.
        self._number = 0
        self._lost = 0
        self._committed_at = self._synced_at = -math.inf
        self._syncs = True
        self._began = self._works = False
        self._delay = _FIRST_DELAY
        self._prune_at = 0.0
        self._take_over_at = 0.0

    def group(self) -> list[Told]:
        """Return what has been taken and may not be in the ledger yet."""
        return list(self._next.batch.records)

    @property
    def dropped(self) -> int:
        """How many records are lost."""
        return self._inbox.lost + self._next.unfit

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
                if isinstance(error, UNFIT):
                    self._next.set_unfit_aside(self._clock())
                self._failed(_explain(error, self._source))
            if self._stop_by is not None and time.monotonic() + self._delay > self._stop_by:
                break
            # Bounded by the interval of the heartbeat, which goes on while nothing can be written.
            self._wait(self._delay)
            self._delay = min(2 * self._delay, _LAST_DELAY)
        self._close()
        self._next.left.close()
        if self._segments is not None:
            self._segments.close(self._number)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._stop_by is None:
            time.sleep(min(left, 0.2))
        self._note_lost()
        self._heartbeat.alive(self._inbox.seen)

    def _note_lost(self) -> None:
        if self.dropped > self._lost:
            self._lost = self.dropped
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
                known = list(facts.admitted_callers(connection))
                if not self._began:
                    newest = facts.highest(connection, schema.outbox)
                    facts.write_fact(connection, facts.BEGAN, str(newest))
                self._next.horizon = facts.horizon(connection)
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
        inbox, group = self._inbox, self._next
        while True:
            inbox.wake.clear()
            stopping = self._stop_by is not None
            # What was told by then is in this group or in one before it.
            look = inbox.seen
            if admitted := group.take(look):
                self._known(admitted)
            started = time.monotonic()
            last = stopping and not inbox.records and not group.left
            due = self._committed_at + self._heartbeat.interval - started
            if group or due <= 0 or stopping:
                whole = group.newest >= look.newest and not self._only_journaled()
                self._commit(started, look if whole else None, last=last)
                due = self._heartbeat.interval
            if last:
                return True
            more = self._prune(started) or group.more
            if not (more or stopping):
                # What comes meanwhile is written together.
                inbox.wake.wait(due)

    def _only_journaled(self) -> bool:
        """Tell whether a record of this process is in the journal alone."""
        segments = self._segments
        return segments is not None and (segments.hold_only or self._next.left.hold_only)

    def _commit(self, started: float, look: Look | None, *, last: bool) -> None:
        """Write the group, and a heartbeat up to ``look`` where all is written by then."""
        assert self._connection is not None
        self.began = started
        self._note_lost()
        batch = self._next.batch
        counts = batch.counts
        calls = [key for key in counts if self._shipped.wanted or key.kind == Kind.REPLACEMENT_CALL]
        matters = last or bool(batch.records or calls)
        self._sync(wanted=matters or started - self._synced_at >= _SYNC_EVERY)

        with self._names.transaction(self._connection):
            new = writing.write(self._connection, batch, self._names)
            writing.write_outbox(self._connection, [(*key, *counts[key]) for key in calls])
            if look is not None:
                self._heartbeat.beat(self._connection, look, stopped=last)
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
        # A group with records in it was synced.
        self._number = self._next.newest
        self._next.written()
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
        self._next.left.add(self._segments.release(self._number))
        if self._committed_at >= self._take_over_at:
            self._take_over_at = self._committed_at + _TAKE_OVER_EVERY
            self._next.left.add(take_over(Path(self._source)))

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
        marks = self._shipped.marks
        if self._shipped.wanted and marks is None:
            return False
        tidying.tidy_outbox(
            self._connection, None if marks is None else marks.get(schema.outbox.name, 0)
        )
        before = self._retention.before()
        gone = tidying.prune(self._connection, before, limit=_PRUNE_STEP, shipped=marks)
        if gone:
            self._next.horizon = max(self._next.horizon, before)
        if gone < _PRUNE_STEP:
            self._prune_at = now + _PRUNE_EVERY
            self._retention.note(self._connection)
            if self._segments is not None:
                drop_signs(Path(self._source), from_ms(before))
        return gone >= _PRUNE_STEP


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
