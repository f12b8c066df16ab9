"""The journal read back: by reports, and by the process after the one that wrote it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Final

from shim.ledger.records import RecordError, Told, decode
from shim.ledger.segments import Segment

_LONGEST_LINE: Final = 1 << 20


def paths_beside(ledger: Path) -> list[Path]:
    """Return the files of the journal of ``ledger``, the oldest first."""
    name = re.compile(re.escape(ledger.name) + r"\.journal-[0-9a-f]{32}")
    try:
        return sorted(path for path in ledger.parent.iterdir() if name.fullmatch(path.name))
    except OSError:
        return []


def take_over(ledger: Path) -> list[Segment]:
    """Return the segments that no process holds any more, locked."""
    left = []
    for path in paths_beside(ledger):
        try:
            segment = Segment(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), monotonic())
        except OSError:
            # Its owner has just removed it, or it is not ours to read.
            continue
        try:
            fcntl.flock(segment.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            segment.close()
            continue
        if segment.is_there():
            left.append(segment)
        else:
            segment.close()
    return left


class Leftovers:
    """Reads segments back, some records at a time; they go once those are kept."""

    def __init__(self) -> None:
        self._unread: deque[Segment] = deque()
        self._read: list[Segment] = []
        self._lines: Iterator[bytes] = iter(())

    def __bool__(self) -> bool:
        return bool(self._unread)

    @property
    def hold_only(self) -> bool:
        """Whether lines of this process are in them."""
        return any(segment.only for segment in self._unread)

    def add(self, segments: Iterable[Segment]) -> None:
        """Read these too."""
        begins = not self._unread
        self._unread.extend(segments)
        if begins:
            self._begin()

    def take(self, most: int) -> list[Told]:
        """Return the next records, at ``most`` so many; lines that are none are passed over.

        The last line of a segment is torn where its process was killed before it was told of it.
        """
        records: list[Told] = []
        while self._unread and len(records) < most:
            line = next(self._lines, None)
            if line is None:
                self._read.append(self._unread.popleft())
                self._begin()
                continue
            with contextlib.suppress(RecordError):
                records.append(decode(line))
        return records

    def kept(self) -> None:
        """Remove the segments that were read to their ends: the ledger has what was in them."""
        while self._read:
            self._read.pop().remove()

    def close(self) -> None:
        """Leave what is left to the next process."""
        for segment in (*self._unread, *self._read):
            segment.close()
        self._unread.clear()
        self._read.clear()

    def _begin(self) -> None:
        self._lines = read_lines(self._unread[0].path) if self._unread else iter(())


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a segment, without their ends; none where it has gone."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            if len(line) > 1 and line.endswith(b"\n"):
                yield line[:-1]


def read_told(ledger: Path) -> list[Told]:
    """Return what the journal of ``ledger`` holds, without taking part in it.

    What leaves it while it is read is in the ledger by then.
    """
    told = []
    for path in paths_beside(ledger):
        for line in read_lines(path):
            with contextlib.suppress(RecordError):
                told.append(decode(line))
    return told
