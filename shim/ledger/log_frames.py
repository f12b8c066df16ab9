"""Lines as they come out of files, pipes and container runtimes, and the JSON inside them."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

LONGEST_LINE: Final = 4 << 20
_GZIP: Final = b"\x1f\x8b"
# CRI (containerd, CRI-O): time, stream, F for a whole line or P for a part of one.
_CRI: Final = re.compile(rb"\S+ (?:stdout|stderr) ([FP])(?::\S*)? ?")


class Event(NamedTuple):
    """A JSON object, and what it says has happened."""

    name: str
    line: bytes


class _Object(msgspec.Struct):
    """What tells an event of ours from Docker's line around one."""

    event: Any = None
    log: Any = None


_objects: Final = msgspec.json.Decoder(_Object)


class BrokenLineError(ValueError):
    """A line that is no record: its message says why, ``line`` is what is known of it."""

    def __init__(self, message: str, line: bytes = b"") -> None:
        super().__init__(message)
        self.line = line


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of ``stream``, gzip or not, one at a time, without their end.

    Raises ``OSError`` or ``EOFError`` where reading ends early; what came before was yielded.  A
    line longer than 4 MiB comes cut off.
    """
    start = stream.read(len(_GZIP))
    resumed = _Resumed(start, stream)
    lines: io.BufferedReader | gzip.GzipFile = io.BufferedReader(resumed)
    if start == _GZIP:
        lines = gzip.GzipFile(fileobj=lines)
    try:
        while line := lines.readline(LONGEST_LINE):
            whole = line.endswith(b"\n")
            yield line.rstrip(b"\r\n")
            while not whole and (rest := lines.readline(LONGEST_LINE)):
                whole = rest.endswith(b"\n")
    except zlib.error as error:
        raise OSError(f"broken gzip: {error}") from None


class _Resumed(io.RawIOBase):
    """A stream whose first bytes have been looked at."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._start or self._rest.read(len(buffer))
        self._start = piece[len(buffer) :] if self._start else b""
        piece = piece[: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)


class Unframer:
    """Takes off what container runtimes put around lines, and joins the parts they cut them into.

    Knows the CRI format, Docker's json-file, and any prefix without a brace before the JSON (what
    ``kubectl logs --prefix``, ``--timestamps`` or ``docker compose logs`` add).
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, line: bytes) -> Event | None:
        """Return the event in ``line``; ``None`` when it is blank or a part of one.

        Raises :class:`BrokenLineError`.
        """
        if cri := _CRI.match(line):
            return self._part(line[cri.end() :], last=cri[1] == b"F")
        if not line.strip():
            return None
        found, event = _parse(line)
        # Docker's own lines hold nothing else; an event of ours has a name.
        if isinstance(found.log, str) and found.event is None:
            return self._part(found.log.rstrip("\r\n").encode(), last=found.log.endswith("\n"))
        return event

    def finish(self) -> Event | None:
        """Return what was left without its last part.  Raises :class:`BrokenLineError`."""
        return self._part(b"", last=True)

    def _part(self, part: bytes, *, last: bool) -> Event | None:
        self._size += len(part)
        if self._size <= LONGEST_LINE:
            self._parts.append(part)
        if not last:
            return None
        whole = b"".join(self._parts)
        self._parts, self._size = [], 0
        return _parse(whole)[1] if whole.strip() else None


def _parse(line: bytes) -> tuple[_Object, Event]:
    start = line.find(b"{")
    if start < 0:
        raise BrokenLineError("no JSON object", line)
    line = line[start:]
    try:
        found = _objects.decode(line)
    except (ValueError, RecursionError) as error:
        raise BrokenLineError(f"not JSON: {error}", line) from None
    return found, Event(found.event if isinstance(found.event, str) else "", line)
