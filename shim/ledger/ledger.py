"""The side of the ledger that requests see."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shim.ledger.fleet import Shipper
from shim.ledger.heartbeat import Heartbeat
from shim.ledger.inbox import Inbox
from shim.ledger.records import NearMiss, ReplacementCall, Use, admits
from shim.ledger.tables.opening import is_memory, memory_source
from shim.ledger.tables.schema import to_ms
from shim.ledger.writer import Writer

_OPENING: Final = "the ledger is being opened"
_HUNG_AFTER: Final = 5.0
"""Seconds without any commit after which a disk that only is slow counts as one that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """How the ledger does.

    ``queued`` records are kept in memory and will be written, ``dropped`` ones are lost.
    ``fleet_ok`` is ``None`` without a fleet; ``fleet_unsent`` counts records it has yet to get.
    """

    ok: bool
    error: str | None
    queued: int
    dropped: int
    written: int
    last_commit_seconds: float | None
    callers: int
    fleet_ok: bool | None
    fleet_error: str | None
    fleet_unsent: int | None


class Ledger:
    """Keeps uses, near misses and counts in SQLite, whatever the disk does.

    ``on_change`` is called in the event loop once per change between working, failing and losing
    records, of the file and of the fleet alike.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        instance: str,
        clock: Callable[[], datetime],
        on_change: Callable[[LedgerState], None],
        retain: timedelta = timedelta(days=180),
        fleet_url: str | None = None,
        wait_seconds: float = 0.25,
        queue_limit: int = 50_000,
        caller_cap: int = 1000,
        heartbeat: timedelta = timedelta(seconds=1),
        ship_seconds: float = 2.0,
    ) -> None:
        self.source: Final = memory_source() if path is None else path
        """What :func:`read_evidence` and :func:`read_uses` take to read this ledger."""
        self._clock = clock
        self._on_change = on_change
        self._wait_seconds = wait_seconds
        self._queue_limit = queue_limit
        self._inbox = Inbox()
        self._known: set[str] = set()
        self._readable = False
        self._first_try = threading.Event()
        self._error: str | None = _OPENING
        self._hung = False
        self._stalled_since: float | None = None
        self._known_limit = 20 * caller_cap
        self._dropped_before = 0
        self._announced = (True, False, None if fleet_url is None else True)
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._anchor: sqlite3.Connection | None = None
        self._writer = Writer(
            self.source,
            self._inbox,
            heartbeat=Heartbeat(instance, heartbeat),
            clock=clock,
            retain=retain,
            caller_cap=caller_cap,
            opened=self._opened,
            settled=lambda futures: self._in_loop(self._settle, futures),
            failed=self._report,
        )
        self._shipper: Shipper | None = None
        if fleet_url is not None:
            self._writer.outbox = True
            self._shipper = Shipper(
                fleet_url,
                self.source,
                clock=clock,
                retain=retain,
                caller_cap=caller_cap,
                every=ship_seconds,
                shipped=self._shipped,
                known=lambda names: self._in_loop(self._known.update, names),
                changed=lambda: self._in_loop(self._announce),
            )

    def start(self) -> None:
        """Begin to write; call it in the event loop.  What goes wrong is in :meth:`state`."""
        self._loop = asyncio.get_running_loop()
        if is_memory(self.source):
            # What is in memory lives as long as a connection to it does.
            self._anchor = sqlite3.connect(str(self.source), uri=True, check_same_thread=False)
        self._writer.start()
        self._first_try.wait(2.0)
        if self._shipper is not None:
            self._shipper.start()
        self._announce()

    async def append(self, record: Use | NearMiss) -> bool:
        """Keep ``record``; return true once it is on the disk.

        False after ``wait_seconds``, or at once where the disk fails or keeps others waiting: the
        record is queued then, or lost and counted where the queue is full.
        """
        loop, inbox = self._loop, self._inbox
        if loop is None or self._closed or len(inbox.records) >= self._queue_limit:
            inbox.lost += 1
            self._announce()
            return False
        if isinstance(record, Use) and admits(
            record.decision, record.phase, would_refuse=record.would_refuse
        ):
            self._remember((record.caller,))
        future = loop.create_future()
        inbox.records.append((record, future))
        if not inbox.wake.is_set():
            inbox.wake.set()
        if self._error is not None or self._stalled_since is not None:
            self._check_hung(loop.time())
            return False
        deadline = loop.time() + self._wait_seconds
        self._waiting.append((deadline, future))
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        durable: bool = await future
        return durable

    def count(self, call: ReplacementCall) -> None:
        """Count a call to a new endpoint; it is written within about a second."""
        self._inbox.count(call)

    def phase_changed(self, phase: str) -> None:
        """Note the phase that this instance is in from now on."""
        self._inbox.phases.append((to_ms(self._clock()), phase))

    def is_known(self, caller: str) -> bool:
        """Tell whether a call of ``caller`` was ever let through, here or in the fleet.

        True for everyone while the ledger could not be read: that must refuse nobody.
        """
        return not self._readable or caller in self._known

    def state(self) -> LedgerState:
        """Return how the ledger does now."""
        shipper, writer = self._shipper, self._writer
        error = self._error
        if error is None and self._hung:
            error = f"the ledger {self.source} does not answer: its disk is slow or stuck"
        return LedgerState(
            ok=error is None,
            error=error,
            queued=len(self._inbox.records) + writer.holding,
            dropped=self._inbox.lost + writer.unfit,
            written=writer.written,
            last_commit_seconds=writer.commit_seconds,
            callers=len(self._known),
            fleet_ok=None if shipper is None else shipper.error is None,
            fleet_error=None if shipper is None else shipper.error,
            fleet_unsent=None if shipper is None else shipper.unsent,
        )

    async def close(self, seconds: float = 5.0) -> None:
        """Write what is queued, send it to the fleet, and end; both bounded by ``seconds``."""
        if self._loop is None or self._closed:
            return
        self._closed = True
        self._writer.stop(seconds)
        await asyncio.to_thread(self._writer.join, seconds + 1.0)
        if self._shipper is not None:
            self._shipper.stop()
            await asyncio.to_thread(self._shipper.join, seconds)
        if self._timer is not None:
            self._timer.cancel()
        for _, future in self._waiting:
            if not future.done():
                future.set_result(False)
        if self._anchor is not None:
            self._anchor.close()

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop is closed: nobody is left to be told.
            return

    def _opened(self, known: Iterable[str]) -> None:
        self._in_loop(self._read, known)

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

    def _shipped(self, marks: dict[str, int]) -> None:
        self._writer.shipped = marks

    def _settle(self, futures: list[asyncio.Future[bool]]) -> None:
        self._stalled_since = None
        if self._hung:
            self._hung = False
            self._announce()
        for future in futures:
            if not future.done():
                future.set_result(True)

    def _expire(self) -> None:
        """Let those go that have waited long enough."""
        assert self._loop is not None
        now = self._loop.time()
        waiting = self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            _, future = waiting.popleft()
            if not future.done():
                future.set_result(False)
                if self._stalled_since is None:
                    self._stalled_since = now
        self._timer = self._loop.call_at(waiting[0][0], self._expire) if waiting else None
        self._check_hung(now)

    def _check_hung(self, now: float) -> None:
        since = self._stalled_since
        if since is not None and not self._hung and now - since >= _HUNG_AFTER:
            self._hung = True
            self._announce()

    def _announce(self) -> None:
        """Tell of a change, once."""
        state = self.state()
        now = (state.ok, state.dropped > self._dropped_before, state.fleet_ok)
        if state.ok and state.queued == 0:
            self._dropped_before = state.dropped
        if now != self._announced:
            self._announced = now
            self._on_change(state)
