"""Just enough HTTP/1.1 to judge both sides of the shim: strict reading, no leniency.

Both the raw client and the scripted origin read through a `Reader`, so neither forgives what
RFC 9112 forbids.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable

Field = tuple[bytes, bytes]
Fields = list[Field]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD_LINE = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)\Z")


class MalformedError(Exception):
    """The peer sent what RFC 9112 does not allow."""


class SilentError(Exception):
    """The peer sent nothing more before the deadline."""


class Reader:
    """Reads a socket by lines and lengths, within a deadline; keeps every byte in `seen`."""

    def __init__(self, sock: socket.socket, deadline: float = 5.0) -> None:
        self.sock = sock
        self.deadline = deadline
        self.buffer = bytearray()
        self.seen = bytearray()
        self.ended = False

    def fill(self, until: float | None = None) -> bool:
        """Read once more; False at the end of the stream.  `until` is a `time.monotonic()`."""
        if self.ended:
            return False
        left = self.deadline if until is None else until - time.monotonic()
        if left <= 0:
            raise SilentError(f"nothing more after {bytes(self.seen[-200:])!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except TimeoutError:
            raise SilentError(f"nothing more after {bytes(self.seen[-200:])!r}") from None
        if not data:
            self.ended = True
            return False
        self.buffer += data
        if len(self.seen) < 1_000_000:
            self.seen += data
        return True

    def take(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def exactly(self, size: int) -> bytes:
        """`size` bytes, or fewer when the stream ended first."""
        until = time.monotonic() + self.deadline
        while len(self.buffer) < size and self.fill(until):
            pass
        return self.take(size)

    def line(self) -> bytes | None:
        """One line without its CRLF; None when the stream ended before it did."""
        until = time.monotonic() + self.deadline
        while (at := self.buffer.find(b"\n")) < 0:
            if not self.fill(until):
                return None
        line = self.take(at + 1)
        if not line.endswith(b"\r\n"):
            raise MalformedError(f"a line ends in a bare LF: {line!r}")
        line = line[:-2]
        if b"\r" in line:
            raise MalformedError(f"a bare CR: {line!r}")
        return line

    def fields(self) -> Fields | None:
        """Field lines up to the empty one; None when the stream ended before it."""
        fields: Fields = []
        while (line := self.line()) is not None:
            if not line:
                return fields
            match = _FIELD_LINE.match(line)
            if match is None:
                raise MalformedError(f"not a field line: {line!r}")
            fields.append((match[1], match[2].rstrip(b" \t")))
        return None

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        until = time.monotonic() + self.deadline
        while self.fill(until):
            pass
        return self.take(len(self.buffer))

    def chunked(self) -> tuple[bytes, Fields, bool]:
        """A chunked body: its content, its trailer fields, and whether it came to its end."""
        content = bytearray()
        while (line := self.line()) is not None:
            match = _CHUNK_SIZE.match(line.split(b";")[0].rstrip(b" \t"))
            if match is None:
                raise MalformedError(f"not a chunk size: {line!r}")
            size = int(match[1], 16)
            if size == 0:
                trailers = self.fields()
                return bytes(content), trailers or [], trailers is not None
            data = self.exactly(size)
            content += data
            if len(data) < size:
                break
            end = self.exactly(2)
            if len(end) < 2:
                break
            if end != b"\r\n":
                raise MalformedError(f"a chunk ends in {end!r}")
        return bytes(content), [], False


def values(fields: Iterable[Field], name: bytes) -> list[bytes]:
    """Every value of the field `name`, in order, whatever the casing."""
    return [value for key, value in fields if key.lower() == name.lower()]


def without(fields: Iterable[Field], *names: bytes) -> Fields:
    """`fields` but for those named."""
    lower = {name.lower() for name in names}
    return [(key, value) for key, value in fields if key.lower() not in lower]


def body_framing(fields: Fields) -> tuple[str, int]:
    """How a body is framed: `length` (and how much), `chunked` or `none`; anything else raises."""
    lengths = values(fields, b"content-length")
    codings = values(fields, b"transfer-encoding")
    if codings:
        if lengths or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise MalformedError(f"framed twice or unknowably: {fields!r}")
        return "chunked", 0
    if lengths:
        if len(lengths) != 1 or not lengths[0].isdigit():
            raise MalformedError(f"no single length: {lengths!r}")
        return "length", int(lengths[0])
    return "none", 0


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunks(*parts: bytes) -> bytes:
    """A complete chunked body of these chunks."""
    return b"".join(chunk(part) for part in parts) + b"0\r\n\r\n"
