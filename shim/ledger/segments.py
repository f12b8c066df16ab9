"""The files of the journal, which one process writes beside its ledger.

Each of them, a segment, goes once the ledger holds what it holds, and holds it on the disk.  Those
of a shim that was killed are read back by the next one, and read by reports (``leftovers``).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import uuid_utils

from shim.ledger.signs import Sign

_MOST_BYTES: Final = 32 << 20
_OLDEST: Final = 10.0
_RETRY: Final = 1.0
_BLOCK: Final = 4096


@dataclass(slots=True)
class Segment:
    """A file of the journal, locked for as long as it is open.

    ``newest`` is the number of its last line; ``only`` says that some are nowhere else.
    """

    path: Path
    file: int
    begun: float
    size: int = 0
    newest: int = 0
    only: bool = False

    def is_there(self) -> bool:
        """Tell whether it is still what its name says."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - for every write, and Path costs ten times
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self.file))

    def remove(self) -> None:
        """Let go of the file and of what is in it."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Leave the file to the next process."""
        os.close(self.file)


class Segments:
    """The files that this process writes beside ``ledger``.

    Two threads are at work here: the one that writes lines and that of the ledger, which lets go of
    what it has kept.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._current: Segment | None = None
        self._ended: deque[Segment] = deque()
        self._sign = Sign(ledger)
        self._retry_at = 0.0
        self.error: str | None = None
        """Why lines cannot be written, ``None`` while they can."""

    @property
    def hold_only(self) -> bool:
        """Whether lines are in them that are nowhere else."""
        with self._lock:
            current = self._current
            return any(segment.only for segment in (*self._ended, *((current,) if current else ())))

    def write(self, lines: bytes, number: int, *, only: bool) -> bool:
        """Append whole ``lines``, the last of which has that ``number``.

        Return whether they are all there; what went wrong is in :attr:`error`.
        """
        with self._lock:
            now = monotonic()
            held_off = self.error is not None and now < self._retry_at
            segment = None if held_off else self._try(lines, now)
            if segment is None:
                self._sign.put_up(number)
                return False
            segment.size += len(lines)
            segment.newest = number
            segment.only = segment.only or only
            return True

    def release(self, number: int) -> list[Segment]:
        """Let go of the lines up to that ``number``: the ledger has them, on the disk.

        Return the segments with lines that it has not; they are its own from now on.
        """
        with self._lock:
            self._sign.take_down(number)
            now = monotonic()
            if self.error is not None and now >= self._retry_at:
                # Find out whether it would go now: the next line may be long in coming.
                self._try(b"\n" * _BLOCK, now)
            current = self._current
            if current and current.newest <= number and (current.only or _is_old(current, now)):
                self._end()
            left = []
            while self._ended and self._ended[0].newest <= number:
                segment = self._ended.popleft()
                if segment.only:
                    left.append(segment)
                else:
                    segment.remove()
            return left

    def ledger_replaced(self) -> None:
        """Take note that what the ledger has had may not be in it any more."""
        with self._lock:
            for segment in (*self._ended, *((self._current,) if self._current else ())):
                segment.only = True

    def close(self, number: int) -> None:
        """Let go of the lines up to that ``number``, and leave the rest to the next process."""
        with self._lock:
            self._end()
        left = self.release(number)
        with self._lock:
            # Finding out whether the disk takes lines again may have begun another.
            self._end()
        for segment in (*left, *self._ended):
            segment.close()
        self._ended.clear()

    def _try(self, lines: bytes, now: float) -> Segment | None:
        try:
            segment = self._append(lines, now)
        except OSError as error:
            self._end()
            self.error = f"the journal of {self._ledger} cannot be written: {error.strerror}"
            self._retry_at = now + _RETRY
            return None
        self.error = None
        return segment

    def _append(self, lines: bytes, now: float) -> Segment:
        for _ in range(2):
            segment = self._current
            if segment is None or segment.size >= _MOST_BYTES or _is_old(segment, now):
                self._end()
                segment = self._current = self._begin(now)
            view = memoryview(lines)
            while view:
                view = view[os.write(segment.file, view) :]
            if segment.is_there():
                return segment
            # Somebody has removed it, or put something in its place.
            self._end()
        raise OSError(errno.ENOENT, "its files are removed while they are written")

    def _begin(self, now: float) -> Segment:
        # Ids of version 7 sort by time (RFC 9562 section 5.7).
        path = self._ledger.with_name(f"{self._ledger.name}.journal-{uuid_utils.uuid7().hex}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        segment = Segment(path, os.open(path, flags, 0o666), now)
        try:
            fcntl.flock(segment.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            segment.remove()
            raise
        return segment

    def _end(self) -> None:
        segment, self._current = self._current, None
        if segment is None:
            return
        if segment.size:
            self._ended.append(segment)
        else:
            # At most a beginning is in it that nobody was told of.
            segment.remove()


def _is_old(segment: Segment, now: float) -> bool:
    # What retention removes from the ledger must not be read back: no segment is kept for long.
    return now - segment.begun > _OLDEST
