"""The journal: what was told and is not in the ledger yet, as lines of the log in files beside it.

A line is handed to the system before the answer to its call leaves, so it survives the end of the
process at any moment; no call waits for the disk itself.  The files are ``segments``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
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
    written: asyncio.Future[bool] | None


class Journal(threading.Thread):
    """Writes lines as they come, as many at once as there are.

    ``settle`` is called in this thread with lines and whether they are in the journal now.
    """

    def __init__(self, segments: Segments, settle: Callable[[Sequence[Line], bool], None]) -> None:
        super().__init__(name="journal", daemon=True)
        self._segments = segments
        self._settle = settle
        self._groups: SimpleQueue[list[Line] | None] = SimpleQueue()
        self.put: Final = self._groups.put
        self.waiting: Final = self._groups.qsize
        self.began: float | None = None
        """Since when the disk has been taking what is written now (``time.monotonic``)."""

    def stop(self) -> None:
        """Write what there is, and end."""
        self._groups.put(None)

    def run(self) -> None:
        """Write until stopped."""
        while (lines := self._groups.get()) is not None:
            last = self._gather(lines)
            self.began = monotonic()
            text = b"".join([line.text + b"\n" for line in lines])
            only = any(line.only for line in lines)
            done = self._segments.write(text, lines[-1].number, only=only)
            self.began = None
            self._settle(lines, done)
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
