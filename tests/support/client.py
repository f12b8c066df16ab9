"""A raw client: sends exact bytes, reads answers with its own strict framing."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.message import Fields, MalformedError, Reader, SilentError, body_framing, values

_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9]{2}) ([^\x00-\x08\x0a-\x1f\x7f]*)\Z")


@dataclass
class Answer:
    """One answer as it came; `complete` is False when the connection ended inside it."""

    version: bytes
    status: int
    reason: bytes
    fields: Fields
    body: bytes = b""
    complete: bool = True
    framing: str = "none"  # none, length, chunked or close
    informational: list[tuple[int, Fields]] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        return values(self.fields, name)

    def header(self, name: bytes) -> bytes | None:
        found = self.values(name)
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to the shim at `url` (`http://…`, `https://…` or `unix:/path`)."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = 5.0,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self.sock = self._socket(url, receive_buffer)
        self.sock.settimeout(deadline)
        try:
            self._connect(url, tls)
        except OSError:
            self.sock.close()
            raise
        self.reader = Reader(self.sock, deadline)

    @staticmethod
    def _socket(url: str, receive_buffer: int | None) -> socket.socket:
        if url.startswith("unix:"):
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock = socket.socket(socket.AF_INET6 if "[" in url else socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return sock

    def _connect(self, url: str, tls: ssl.SSLContext | None) -> None:
        if url.startswith("unix:"):
            self.sock.connect(url.removeprefix("unix:"))
            return
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.sock.connect((parts.hostname, parts.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=parts.hostname)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.sock.settimeout(self.reader.deadline)
        self.sock.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send until the peer stops listening: it may rightly hang up on bad bytes."""
        with contextlib.suppress(ConnectionError):
            self.send(data)

    def drip(self, data: bytes, size: int = 1, pause: float = 0.0) -> None:
        """Send in pieces of `size` bytes, `pause` seconds apart, while the peer takes them."""
        for at in range(0, len(data), size):
            try:
                self.send(data[at : at + size])
            except ConnectionError:
                return
            if pause:
                time.sleep(pause)

    def read_head(self) -> Answer:
        """The next status line and fields, informational or final."""
        line = self.reader.line()
        if line is None:
            raise EOFError(f"the connection ended without an answer: {bytes(self.reader.seen)!r}")
        match = _STATUS_LINE.match(line)
        if match is None:
            raise MalformedError(f"not a status line: {line!r}")
        fields = self.reader.fields()
        if fields is None:
            raise EOFError(f"the connection ended inside a head: {bytes(self.reader.seen)!r}")
        return Answer(match[1], int(match[2]), match[3], fields)

    def read(self, method: str = "GET") -> Answer:
        """The final answer to a request of `method`, with the 1xx that came before it."""
        before: list[tuple[int, Fields]] = []
        while True:
            answer = self.read_head()
            if answer.status >= 200:
                break
            before.append((answer.status, answer.fields))
        answer.informational = before
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        answer.framing, length = body_framing(answer.fields)
        if answer.framing == "chunked":
            answer.body, _, answer.complete = self.reader.chunked()
        elif answer.framing == "length":
            answer.body = self.reader.exactly(length)
            answer.complete = len(answer.body) == length
        else:
            answer.framing = "close"
            answer.body = self.reader.rest()
        return answer

    def ask(self, data: bytes) -> Answer:
        """Send one request, read its answer."""
        self.send(data)
        return self.read(data.split(b" ", 1)[0].decode("latin-1"))

    def closed(self, within: float = 2.0) -> bool:
        """Whether the peer closes, without another byte, within so many seconds."""
        before = len(self.reader.buffer)
        self.reader.deadline, deadline = within, self.reader.deadline
        try:
            while self.reader.fill():
                pass
        except SilentError:
            return False
        except ConnectionResetError:
            pass
        finally:
            self.reader.deadline = deadline
        return len(self.reader.buffer) == before == 0

    def wait_for_bytes(self, within: float = 2.0) -> None:
        """Until something has come that was not read yet."""
        assert self.reader.buffer or select.select([self.sock], [], [], within)[0], "nothing came"

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


def request(
    method: str = "GET",
    target: str | bytes = "/",
    *fields: bytes,
    body: bytes = b"",
    version: bytes = b"HTTP/1.1",
    host: bytes | None = b"admin.test:9070",
) -> bytes:
    """A request head of exactly these field lines, after its Host, and then `body` as it is."""
    if isinstance(target, str):
        target = target.encode("latin-1")
    lines = [b"%s %s %s" % (method.encode("latin-1"), target, version)]
    if host is not None:
        lines.append(b"Host: " + host)
    lines += fields
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def ask(url: str, data: bytes, *, deadline: float = 5.0) -> Answer:
    """One request on a connection of its own."""
    with Client(url, deadline=deadline) as client:
        return client.ask(data)


@contextlib.contextmanager
def timed(at_most: float) -> Iterator[None]:
    """Fails when its block takes longer than so many seconds."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < at_most, f"took {took:.2f} s, more than {at_most} s"
