"""A scripted origin: what it got, byte for byte, and exactly the bytes it is told to answer.

One thread per connection with a blocking socket.  For every request head that arrives the
origin asks its current `script` what to do; a script is a plain function of the connection
and the request, so one origin serves many tests and pooled connections follow along.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.message import (
    TOKEN,
    Fields,
    MalformedError,
    Reader,
    SilentError,
    body_framing,
    values,
)
from tests.support.waiting import wait_until

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([^ \x00-\x1f\x7f]+) (HTTP/1\.1)\Z")

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Received:
    """One request as the origin got it; `complete` once its body was read to its end."""

    connection: int
    line: bytes
    method: bytes
    target: bytes
    fields: Fields
    body: bytes = b""
    framing: str = "none"
    complete: bool = False
    trailers: Fields = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        return values(self.fields, name)


class Connection:
    """The origin's end of one connection, handed to the script."""

    def __init__(self, sock: socket.socket, number: int, deadline: float) -> None:
        self.sock = sock
        self.number = number
        self.reader = Reader(sock, deadline)
        self.requests = 0
        self.gone = threading.Event()  # the peer has closed, or we have

    def read_head(self) -> Received | None:
        line = self.reader.line()
        if line is None:
            return None
        match = _REQUEST_LINE.match(line)
        if match is None:
            raise MalformedError(f"not a request line: {line!r}")
        fields = self.reader.fields()
        if fields is None:
            return None
        self.requests += 1
        return Received(self.number, line, match[1], match[2], fields)

    def read_body(self, request: Received) -> bytes:
        request.framing, length = body_framing(request.fields)
        if request.framing == "chunked":
            request.body, request.trailers, request.complete = self.reader.chunked()
        else:
            request.body = self.reader.exactly(length)
            request.complete = len(request.body) == length
        return request.body

    def send(self, data: bytes) -> None:
        self.sock.settimeout(self.reader.deadline)
        self.sock.sendall(data)

    def drip(self, data: bytes, size: int = 1, pause: float = 0.0) -> None:
        for at in range(0, len(data), size):
            self.send(data[at : at + size])
            if pause:
                time.sleep(pause)

    def wait_gone(self, within: float) -> bool:
        """Whether the peer leaves within so many seconds; what it still sends is thrown away."""
        self.reader.deadline = within
        try:
            while self.reader.fill():
                pass
        except SilentError:
            return False
        except OSError:
            pass
        self.gone.set()
        return True

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def leave(self, how: str, after: float = 0.0) -> None:
        """`close` or `reset`, so many seconds later."""
        time.sleep(after)
        self.reset() if how == "reset" else self.close()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()

    def close(self) -> None:
        self.gone.set()
        with contextlib.suppress(OSError):
            self.sock.close()


Script = Callable[[Connection, Received], None]


def reply(*parts: bytes, pause: float = 0.0) -> Script:
    """Read the request, then send these bytes, `pause` seconds apart, and stay connected."""

    def script(connection: Connection, request: Received) -> None:
        connection.read_body(request)
        for index, part in enumerate(parts):
            if index and pause:
                time.sleep(pause)
            connection.send(part)

    return script


def drip(data: bytes, pause: float = 0.0) -> Script:
    """Read the request, then send `data` one byte at a time."""

    def script(connection: Connection, request: Received) -> None:
        connection.read_body(request)
        connection.drip(data, pause=pause)

    return script


def echo_target(go: threading.Event, times: int = 1) -> Script:
    """Read the request, wait for `go`, answer with its target."""

    def script(connection: Connection, request: Received) -> None:
        connection.read_body(request)
        go.wait(5)
        connection.send(answer(200, request.target * times))

    return script


def reply_and_close(*parts: bytes, pause: float = 0.0) -> Script:
    """As `reply`, then hang up."""
    sends = reply(*parts, pause=pause)

    def script(connection: Connection, request: Received) -> None:
        sends(connection, request)
        connection.close()

    return script


def hang(connection: Connection, request: Received) -> None:
    """Read the request and never answer it."""
    connection.read_body(request)
    connection.wait_gone(30)


def break_off(connection: Connection, request: Received) -> None:
    """Read the request and hang up without a byte."""
    connection.read_body(request)
    connection.close()


def answer(
    status: int | str = 200, body: bytes = b"", *fields: bytes, framing: str = "length"
) -> bytes:
    """The bytes of an answer: `length`, `chunked` or `none` decides how `body` is framed."""
    lines = [f"HTTP/1.1 {status}".encode("latin-1")]
    if isinstance(status, int):
        lines[0] += b" Status"
    lines += fields
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Origin:
    """Listens on a port of the kernel's choice (or a Unix socket), TLS when given a context."""

    def __init__(
        self, *, unix: bool = False, tls: ssl.SSLContext | None = None, deadline: float = 10.0
    ) -> None:
        self.tls = tls
        self.deadline = deadline
        self.script: Script = reply(EMPTY)
        self.requests: list[Received] = []
        self.errors: list[str] = []
        self.connections: list[Connection] = []
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="origin") if unix else None
        self._address: str | tuple[str, int]
        if self._folder is not None:
            self._address = str(Path(self._folder.name) / "admin.sock")
            self.url = f"unix:{self._address}"
            self.listen()
        else:
            self._address = ("127.0.0.1", 0)
            self.listen()
            self._address = self._listener.getsockname()
            scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
            self.url = f"{scheme}://{host}:{self._address[1]}"

    def listen(self) -> None:
        """Take connections (again, on the same address)."""
        family = socket.AF_INET if self._folder is None else socket.AF_UNIX
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        if self._folder is None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            assert isinstance(self._address, str)
            Path(self._address).unlink(missing_ok=True)
        self._listener.bind(self._address)
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse new connections until `listen` is called."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                connection = Connection(sock, len(self.connections), self.deadline)
                self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            if self.tls is not None:
                connection.sock = self.tls.wrap_socket(connection.sock, server_side=True)
                connection.reader.sock = connection.sock
            elif self._folder is None:
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.reader.deadline = 600  # idle in the shim's pool
            while not connection.gone.is_set():
                received = connection.read_head()
                if received is None:
                    break
                connection.reader.deadline = self.deadline
                with self._lock:
                    self.requests.append(received)
                self.script(connection, received)
                connection.reader.deadline = 600
        except MalformedError as error:
            self.errors.append(str(error))
        except (OSError, SilentError):
            pass  # the peer left: what was received tells the rest
        finally:
            connection.close()

    @property
    def heard(self) -> bytes:
        """Every byte that arrived on any connection since `forget`."""
        return b"".join(bytes(connection.reader.seen) for connection in self.connections)

    def request(self, within: float = 2.0, count: int = 1) -> Received:
        """The `count`-th request since `forget`, waiting for it to arrive and be read."""
        self.wait(count, within)
        received = self.requests[count - 1]
        with contextlib.suppress(AssertionError):  # one that is not read is given as it is
            wait_until(lambda: received.complete, within, every=0.002)
        return received

    def wait(self, count: int = 1, within: float = 2.0) -> Connection:
        """The connection of the `count`-th request, as soon as its head is there."""
        wait_until(
            lambda: len(self.requests) >= count,
            within,
            every=0.002,
            said=lambda: f"the origin got {len(self.requests)} requests",
        )
        return self.connections[self.requests[count - 1].connection]

    def forget(self) -> None:
        """Start anew: end every connection, wait until the shim let go of it, default script."""
        with self._lock:
            connections = list(self.connections)
        for how in (socket.SHUT_WR, socket.SHUT_RDWR):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(how)
            until = time.monotonic() + 1
            for connection in connections:
                connection.gone.wait(max(0, until - time.monotonic()))
        with self._lock:
            self.connections = []
            self.requests = []
            self.errors = []
        self.script = reply(EMPTY)

    def close(self) -> None:
        self.refuse()
        self.forget()
        if self._folder is not None:
            self._folder.cleanup()
