"""The side of the ledger that requests see."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shim.clocks import Witness
from shim.ledger.evidence import LEDGER_BEAT
from shim.ledger.fleet import Shipper
from shim.ledger.heartbeat import Heartbeat
from shim.ledger.inbox import Inbox, Look
from shim.ledger.journal import Journal
from shim.ledger.records import PhaseChange, Record, ReplacementCall, Told, Use, encode
from shim.ledger.retention import Retention, Shipped
from shim.ledger.segments import Segments
from shim.ledger.tables.opening import is_memory, memory_source
from shim.ledger.tables.schema import to_ms
from shim.ledger.writer import Writer

_OPENING: Final = "the ledger is being opened"
# Seconds after which a disk that only is slow counts as one that fails.
_HUNG_AFTER: Final = 5.0
# Seconds between looks at what has come: the groups in which the ledger is written.
_TICK: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """How the ledger does.

    ``queued`` records are kept in memory and will be written, ``dropped`` ones are lost,
    the last of them at ``last_lost``.
    ``fleet_ok`` is ``None`` without a fleet; ``fleet_unsent`` counts records it has yet to get.
    """

    ok: bool
    error: str | None
    queued: int
    dropped: int
    last_lost: datetime | None
    written: int
    last_commit_seconds: float | None
    callers: int
    fleet_ok: bool | None
    fleet_error: str | None
    fleet_unsent: int | None


class Ledger:
    """Keeps uses, near misses and counts in a journal and in SQLite, whatever the disk does.

    It belongs to the event loop that it is made in, and is told things between start and close.
    ``on_change`` is called in the event loop once per change between working, failing and losing
    records, of the file and of the fleet alike.  While ``witness`` shows another time than
    ``clock``, no time is claimed as observed, and what either calls young is kept.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        instance: str,
        clock: Callable[[], datetime],
        on_change: Callable[[LedgerState], None],
        retain: timedelta = timedelta(days=180),
        witness: Witness | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        fleet_url: str | None = None,
        wait_seconds: float = 0.1,
        queue_limit: int = 50_000,
        caller_cap: int = 1000,
        heartbeat: timedelta = LEDGER_BEAT,
        ship_seconds: float = 2.0,
        fleet_answer_seconds: float = 20.0,
    ) -> None:
        self.source: Final = memory_source() if path is None else path
        """What :func:`read_evidence` and :func:`read_uses` take to read this ledger."""
        self._instance = instance
        self._clock = clock
        self._witness = witness
        self._monotonic = monotonic
        self._on_change = on_change
        self._queue_limit = queue_limit
        self._inbox = Inbox()
        self._known: set[str] = set()
        self._readable = False
        self._first_try = threading.Event()
        self._error: str | None = _OPENING
        self._known_limit = 20 * caller_cap
        self._dropped_before = 0
        self._announced = (True, False, None if fleet_url is None else True)
        self._ticker: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._anchor: sqlite3.Connection | None = None
        self._journal: Journal | None = None
        self._segments: Segments | None = None
        if path is not None:
            self._segments = Segments(path)
            self._journal = Journal(
                self._segments,
                wait_seconds=wait_seconds,
                lose=lambda: self._inbox.lose(clock()),
            )
        retention = Retention(retain, self._inbox)
        shipped = Shipped(wanted=fleet_url is not None)
        self._writer = Writer(
            self.source,
            self._inbox,
            self._segments,
            heartbeat=Heartbeat(instance, heartbeat),
            clock=clock,
            retention=retention,
            shipped=shipped,
            caller_cap=caller_cap,
            known=lambda names: self._in_loop(self._read, names),
            failed=self._report,
        )
        self._shipper: Shipper | None = None
        if fleet_url is not None:
            self._shipper = Shipper(
                fleet_url,
                self.source,
                retention=retention,
                shipped=shipped,
                caller_cap=caller_cap,
                every=ship_seconds,
                answer_seconds=fleet_answer_seconds,
                known=lambda names: self._in_loop(self._remember, names),
                changed=lambda: self._in_loop(self._announce),
            )

    def start(self) -> None:
        """Begin to write.  What goes wrong is in :meth:`state`."""
        if is_memory(self.source):
            # What is in memory lives as long as a connection to it does.
            self._anchor = sqlite3.connect(str(self.source), uri=True, check_same_thread=False)
        self._look()
        if self._journal is not None:
            self._journal.start()
        self._writer.start()
        self._first_try.wait(2.0)
        if self._shipper is not None:
            self._shipper.start()
        self._tick()

    async def append(self, record: Record, line: bytes) -> bool:
        """Keep ``record``; return true once it is in the journal.

        ``line`` is what :func:`~shim.ledger.records.encode` makes of it.  False where it is not:
        after ``wait_seconds``, or at once where the disk fails or keeps others waiting.  The record
        is in memory then, or lost and counted where there are too many.
        """
        if isinstance(record, Use) and record.admitted:
            self._remember((record.caller,))
        written = self._put(record, line)
        if self._journal is None:
            # The line in the log is all that will be left of it: let that go out first.
            await asyncio.sleep(0)
        return await written

    def count(self, call: ReplacementCall) -> None:
        """Count a call to a new endpoint; it is written within about a second."""
        self._inbox.count(call)

    def count_unreadable(self, address: str) -> None:
        """Count a request from ``address`` that could not be read, as :meth:`count` does."""
        self._inbox.count_unreadable(address, self._instance, self._clock())

    def carried(self) -> None:
        """Count a request that was no probe; it is written within a second."""
        self._inbox.carried += 1

    def phase_changed(self, phase: str) -> None:
        """Note the phase that this instance is in from now on."""
        change = PhaseChange(timestamp=self._clock(), instance=self._instance, phase=phase)
        self._put(change, encode(change))

    def is_known(self, caller: str) -> bool:
        """Tell whether a call of ``caller`` was ever let through, here or in the fleet.

        True for everyone while the ledger could not be read: that must refuse nobody.
        """
        return not self._readable or caller in self._known

    def state(self) -> LedgerState:
        """Return how the ledger does now."""
        shipper, writer = self._shipper, self._writer
        error = self._error
        if error is None and self._segments is not None:
            error = self._segments.error
        if error is None and self._hung():
            error = f"the ledger {self.source} does not answer: its disk is slow or stuck"
        return LedgerState(
            ok=error is None,
            error=error,
            queued=sum(not isinstance(one, PhaseChange) for one in self.waiting()),
            dropped=writer.dropped,
            last_lost=self._inbox.last_lost,
            written=writer.written,
            last_commit_seconds=writer.commit_seconds,
            callers=len(self._known),
            fleet_ok=None if shipper is None else shipper.error is None,
            fleet_error=None if shipper is None else shipper.error,
            fleet_unsent=None if shipper is None else shipper.unsent,
        )

    def waiting(self) -> list[Told]:
        """Return what is in memory and may not be in the ledger yet."""
        return [*self._writer.group(), *self._inbox.copy()]

    async def close(self, seconds: float = 5.0) -> None:
        """Write what is queued, send it to the fleet, and end; both bounded by ``seconds``."""
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._journal is not None:
            await self._journal.finish(seconds)
        self._look()
        self._writer.stop(seconds)
        await asyncio.to_thread(self._writer.join, seconds + 1.0)
        if self._shipper is not None:
            self._shipper.stop()
            await asyncio.to_thread(self._shipper.join, seconds)
        if self._anchor is not None:
            self._anchor.close()

    def _put(self, record: Told, line: bytes) -> asyncio.Future[bool]:
        """Hand ``record`` to ledger and journal; the future says what :meth:`append` returns."""
        inbox, journal = self._inbox, self._journal
        crowded = len(inbox.records) >= self._queue_limit
        behind = journal is not None and journal.waiting() >= self._queue_limit
        lost = self._closed or (crowded and (journal is None or behind))
        if lost:
            inbox.lose(self._clock())
        elif not crowded:
            inbox.records.append(record)
            inbox.newest += 1
        if journal is not None and not (behind or lost):
            return journal.put(line, inbox.newest, only=crowded)
        kept: asyncio.Future[bool] = self._loop.create_future()
        kept.set_result(journal is None and not lost)
        return kept

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop is closed: nobody is left to be told.
            return

    def _report(self, error: str | None) -> None:
        self._error = error
        self._first_try.set()
        self._in_loop(self._announce)

    def _read(self, known: Iterable[str]) -> None:
        self._remember(known)
        self._readable = True

    def _remember(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self._known) < self._known_limit:
                self._known.add(name)

    def _tick(self) -> None:
        """Look around a few times a second."""
        if self._journal is not None:
            self._journal.give_up(time.monotonic())
        self._look()
        self._announce()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    def _look(self) -> None:
        """Note that all that has happened by now has been told, and have it written."""
        inbox = self._inbox
        heard = None if self._witness is None else self._witness.heard
        inbox.seen = Look(to_ms(self._clock()), self._monotonic(), inbox.newest, heard)
        if inbox.records:
            inbox.wake.set()

    def _hung(self) -> bool:
        """Tell whether a disk has been at one thing for far too long."""
        now = time.monotonic()
        journal = None if self._journal is None else self._journal.began
        return now - min(journal or now, self._writer.began or now) > _HUNG_AFTER

    def _announce(self) -> None:
        """Tell of a change, once."""
        state = self.state()
        now = (state.ok, state.dropped > self._dropped_before, state.fleet_ok)
        if state.ok and state.queued == 0:
            self._dropped_before = state.dropped
        if now != self._announced:
            self._announced = now
            self._on_change(state)
