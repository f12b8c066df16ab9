"""Where a body ends: the three ways that both directions share (RFC 9112 section 6.3).

Each takes the bytes of a connection as they come and returns what of them is content and what is
left behind the end.  Content comes in pieces: small chunks gathered into one, large ones as views,
which copy nothing.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Protocol

from shim.http1.grammar import FIELD_LINES, TEXT, FramingError
from shim.http1.section import FIELD_BEGINNING, Section, SectionKind

_MAX_CHUNK_LINE: Final = 4096
_MAX_CHUNK: Final = 1 << 62
# Any number of leading zeros is in the grammar, and some write a fixed width.
_SIZE: Final = rb"((?=[0-9A-Fa-f])0*+[0-9A-Fa-f]{0,16})"
_CHUNK_LINE: Final = re.compile(_SIZE + rb"(?:[ \t]*;" + TEXT + rb")?\r\n")
_CHUNK_LINE_BEGINNING: Final = re.compile(_SIZE + rb"[ \t]*(?:;" + TEXT + rb")?\r?\Z")
_TRAILERS: Final = re.compile(FIELD_LINES + rb"\r\n")


def _bad_trailers(_: bytes) -> FramingError:
    return FramingError(400, "The trailer section has a line that is no field line")


def trailer_section(limit: int) -> SectionKind:
    """Return what a trailer section of at most ``limit`` bytes looks like."""
    return SectionKind(
        line=None,
        beginning=FIELD_BEGINNING,
        limit=limit,
        too_large=lambda: FramingError(431, "The trailer section is too large"),
        wrong=_bad_trailers,
    )


class Framing(Enum):
    """How the end of a message's body is told."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


Piece = bytes | memoryview
"""A part of a body's content."""
_LARGE: Final = 8 * 1024


class Body(Protocol):
    """A body that is being read."""

    ended: bool

    def read(self, data: bytes) -> tuple[list[Piece], bytes]:
        """Return the content in ``data`` and what of ``data`` is behind the body's end.

        Raises :class:`FramingError`.
        """


class LengthBody:
    """A body of a length that is known, above zero."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = False

    def read(self, data: bytes) -> tuple[list[Piece], bytes]:
        """See :class:`Body`."""
        size = len(data)
        if size < self._left:
            self._left -= size
            return [data], b""
        left, self._left = self._left, 0
        self.ended = True
        return ([data], b"") if left == size else ([data[:left]], data[left:])


class UntilClose:
    """A body that ends where its connection does; only answers may have one."""

    ended = False

    def read(self, data: bytes) -> tuple[list[Piece], bytes]:
        """See :class:`Body`."""
        return [data], b""


class ChunkedBody:
    """A body in chunks (RFC 9112 section 7.1).  Extensions and trailers are dropped.

    Extensions are for one hop alone, and section 6.5.1 of RFC 9110 lets an intermediary drop
    trailers.  ``trailers`` says how many there may be.
    """

    def __init__(self, trailers: SectionKind) -> None:
        self._kind = trailers
        self._kept = b""
        self._left = 0
        self._in_chunk = False
        self._trailers: Section | None = None
        self.ended = False

    def read(self, data: bytes) -> tuple[list[Piece], bytes]:
        """See :class:`Body`."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        pieces: list[Piece] = []
        small: list[bytes] = []
        rest = b""
        at, end = 0, len(data)
        while at < end:
            if self._trailers is not None:
                rest = self._read_trailers(self._trailers, data[at:])
                break
            if not self._in_chunk:
                line = _CHUNK_LINE.match(data, at, at + _MAX_CHUNK_LINE)
                if line is None:
                    self._kept = _beginning_of_a_line(data[at:])
                    break
                at = line.end()
                self._begin_chunk(int(line[1], 16))
            if self._left and at < end:
                size = min(self._left, end - at)
                if size < _LARGE:
                    small.append(data[at : at + size])
                else:
                    _gather(small, pieces)
                    pieces.append(memoryview(data)[at : at + size])
                at += size
                self._left -= size
            if self._in_chunk and not self._left:
                if data[at : at + 2] != b"\r\n":
                    self._kept = _beginning_of_an_end(data[at:])
                    break
                at += 2
                self._in_chunk = False
        _gather(small, pieces)
        return pieces, rest

    def _begin_chunk(self, size: int) -> None:
        if size >= _MAX_CHUNK:
            raise FramingError(400, "A chunk is larger than any message may be")
        if size:
            self._left = size
            self._in_chunk = True
        else:
            self._trailers = Section(self._kind)

    def _read_trailers(self, trailers: Section, data: bytes) -> bytes:
        """Take the trailer section; return what is behind it."""
        found = trailers.add(data)
        if found is None:
            return b""
        section, rest = found
        if not _TRAILERS.fullmatch(section):
            raise _bad_trailers(section)
        self.ended = True
        return rest


def _gather(small: list[bytes], pieces: list[Piece]) -> None:
    """Make one piece of the small ones."""
    if small:
        pieces.append(small[0] if len(small) == 1 else b"".join(small))
        small.clear()


def _beginning_of_an_end(data: bytes) -> bytes:
    """Return ``data`` if more bytes can make a chunk's end of it."""
    if data not in (b"", b"\r"):
        raise FramingError(400, "A chunk does not end where its size says")
    return data


def _beginning_of_a_line(data: bytes) -> bytes:
    """Return ``data`` if more bytes can make a chunk's size line of it."""
    if len(data) > _MAX_CHUNK_LINE or b"\n" in data or not _CHUNK_LINE_BEGINNING.match(data):
        raise FramingError(400, "A chunk's size line is not as RFC 9112 section 7.1 has it")
    return data


def as_chunk(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces of one chunk that holds ``pieces``; nothing is copied."""
    return [b"%x\r\n" % sum(map(len, pieces)), *pieces, b"\r\n"]


def one_chunk(content: bytes) -> bytes:
    """Return a whole chunked body of ``content``."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
