"""The journal: what was told and is not in the ledger yet, as lines of the log in files beside it.

A line is handed to the system before the answer to its call leaves, so it survives the end of the
process at any moment; no call waits for the disk itself.  The files are ``segments``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, NamedTuple

from shim.ledger.segments import Segments

_GROUP: Final = 1000


class Line(NamedTuple):
    """A line to be written; ``written`` is resolved in the event loop with whether it was.

    ``number`` is the record's own, or, where the line is all there is of it (``only``), that of the
    newest one that is in memory too.
    """

    text: bytes
    number: int
    only: bool
    written: asyncio.Future[bool]


class Journal(threading.Thread):
    """Writes lines as they come, as many at once as there are.

    It belongs to the event loop that it is made in: there lines are put, and those that wait for
    them are told, after ``wait_seconds`` at the latest.  ``lose`` is called there for each record
    that was in its line alone and could not be written.
    """

    def __init__(
        self, segments: Segments, *, wait_seconds: float, lose: Callable[[], None]
    ) -> None:
        super().__init__(name="journal", daemon=True)
        self.began: float | None = None
        """Since when the disk has been taking what is written now (``time.monotonic``)."""
        self._segments = segments
        self._wait_seconds = wait_seconds
        self._lose = lose
        self._loop = asyncio.get_running_loop()
        self._lines: list[Line] = []
        self._awaited: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._groups: SimpleQueue[list[Line] | None] = SimpleQueue()
        self.waiting: Final = self._groups.qsize

    # In the event loop

    def put(self, text: bytes, number: int, *, only: bool) -> asyncio.Future[bool]:
        """Have a line written, together with what else comes in this turn of the loop.

        The future says whether it was: false after ``wait_seconds``, and at once where the disk
        keeps others waiting.
        """
        written: asyncio.Future[bool] = self._loop.create_future()
        self._lines.append(Line(text, number, only, written))
        if len(self._lines) == 1:
            self._loop.call_soon(self._hand_over)
        now = monotonic()
        if now - (self.began or now) > self._wait_seconds:
            written.set_result(False)
        else:
            self._awaited.append((now + self._wait_seconds, written))
        return written

    def give_up(self, now: float) -> None:
        """Let nobody wait that has waited for long enough."""
        awaited = self._awaited
        while awaited and (awaited[0][1].done() or awaited[0][0] <= now):
            _resolve(awaited.popleft()[1], done=False)

    async def finish(self, seconds: float) -> None:
        """Write what there is and end; nobody waits for longer than ``seconds``."""
        self._hand_over()
        self._groups.put(None)
        await asyncio.to_thread(self.join, seconds)
        for _, written in self._awaited:
            _resolve(written, done=False)

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._groups.put(lines)

    def _settle(self, lines: list[Line], done: bool) -> None:  # noqa: FBT001 - call_soon names none
        for line in lines:
            if line.only and not done:
                self._lose()
            _resolve(line.written, done=done)

    # In its own thread

    def run(self) -> None:
        """Write until the end."""
        while (lines := self._groups.get()) is not None:
            last = self._gather(lines)
            self.began = monotonic()
            text = b"".join([line.text + b"\n" for line in lines])
            only = any(line.only for line in lines)
            done = self._segments.write(text, lines[-1].number, only=only)
            self.began = None
            # Where the loop is closed nobody is left to be told.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._settle, lines, done)
            if last:
                break

    def _gather(self, lines: list[Line]) -> bool:
        """Add what waits; return whether nothing is to come."""
        while len(lines) < _GROUP:
            try:
                more = self._groups.get_nowait()
            except Empty:
                return False
            if more is None:
                return True
            lines += more
        return False


def _resolve(written: asyncio.Future[bool], *, done: bool) -> None:
    # Whoever waited may have given up, or have been told that it takes too long.
    if not written.done():
        written.set_result(done)
