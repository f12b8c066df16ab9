"""What stands in Restate's place: it answers as Restate does, at once, and knows no more.

That is: lower-case names, a length or one chunk, head and body in one segment, no ``Connection``.
It takes 7 µs a request, less than any proxy before it.  It does not parse requests: it knows the
few that the benchmark sends, one at a time on a connection, with or without a body by the method.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Final

import uvloop

from tests.bench.programs import (
    ROOT,
    Cores,
    environment,
    running,
    until_it_says,
)

MIB: Final = 2**20
SMALL: Final = b'{"name": "Counter1"}'
ROWS: Final = b'{"rows":[{"id":"inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz","status":"running"}]}'
LARGE: Final = b'{"rows":["' + b"x" * (64 * 1024 - 13) + b'"]}'

_PIECE: Final = b"x" * (64 * 1024)
_CHUNK: Final = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE)
_END: Final = b"0\r\n\r\n"
_LAST: Final = b"/last"
_COUNT: Final = b"/count"


def _date() -> bytes:
    return b"date: " + formatdate(usegmt=True).encode() + b"\r\n"


def _answer(status: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *fields, _date())) + b"\r\n" + body


def _json(body: bytes) -> bytes:
    length = b"content-length: %d" % len(body)
    return _answer(b"200 OK", b"content-type: application/json", length, body=body)


def _json_in_a_chunk(body: bytes) -> bytes:
    return _answer(
        b"200 OK",
        b"content-type: application/json",
        b"transfer-encoding: chunked",
        body=b"%x\r\n%b\r\n" % (len(body), body) + _END,
    )


_ANSWERS: Final = {
    (b"GET", b"/services"): _json(SMALL),
    (b"GET", b"/services/large"): _json(LARGE),
    (b"POST", b"/query"): _json_in_a_chunk(ROWS),
}
# The old route and the new one, whatever the id.
_OLD: Final = _answer(b"202 Accepted", b"content-length: 0")
_NEW: Final = _answer(b"200 OK", b"content-length: 0")
_UNKNOWN: Final = _answer(b"404 Not Found", b"content-length: 0")


class Origin(asyncio.Protocol):
    """One connection."""

    # Over all connections: the request line before this one, which is what a proxy has made of a
    # request, and how many there were.
    last = b""
    count = 0

    def __init__(self) -> None:
        self._held = b""
        self._key = (b"", b"")
        self._length: int | None = 0
        self._taken = 0
        self._tail = b""
        self._uploading = False
        self._pieces = 0
        self._piece = b""
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop's

    def data_received(self, data: bytes) -> None:
        if self._uploading:
            self._body(data)
            return
        if self._held:
            data = self._held + data
        if b"\r\n\r\n" not in data:
            self._held = data
            return
        self._held = b""
        method, target, _ = data.split(b" ", 2)
        self._key = method, target
        if method == b"POST":
            head, _, body = data.partition(b"\r\n\r\n")
            _, found, after = head.lower().partition(b"\r\ncontent-length:")
            self._length = int(after.partition(b"\r\n")[0]) if found else None
            self._uploading, self._taken, self._tail = True, 0, b""
            self._body(body)
        else:
            self._reply()

    def _body(self, data: bytes) -> None:
        self._taken += len(data)
        if self._length is None:
            # No body that is sent here ends like a last chunk.
            self._tail = (self._tail + data[-len(_END) :])[-len(_END) :]
            self._uploading = self._tail != _END
        else:
            self._uploading = self._taken < self._length
        if not self._uploading:
            self._reply()

    def _reply(self) -> None:
        method, target = self._key
        if answer := _ANSWERS.get(self._key):
            self._transport.write(answer)
        elif method == b"PATCH":
            self._transport.write(_NEW)
        elif method == b"DELETE":
            self._transport.write(_OLD)
        else:
            self._rare(target)
            return
        Origin.last = b" ".join(self._key)
        Origin.count += 1

    def _rare(self, target: bytes) -> None:
        _, what, *more = target.split(b"/")
        if target == _LAST:
            self._transport.write(_json(b'"%b"' % Origin.last))
        elif target == _COUNT:
            self._transport.write(_json(b"%d" % Origin.count))
        elif what == b"up":
            self._transport.write(_json(b"%d" % self._taken))
        elif what in {b"down", b"down-chunked"}:
            size = int(more[0])
            framing = b"transfer-encoding: chunked"
            if what == b"down":
                framing = b"content-length: %d" % size
            self._transport.write(_answer(b"200 OK", framing))
            self._pieces = size // len(_PIECE)
            self._piece = _PIECE if what == b"down" else _CHUNK
            self._send()
        else:
            self._transport.write(_UNKNOWN)

    def _send(self) -> None:
        while self._pieces and not self._paused:
            self._pieces -= 1
            self._transport.write(self._piece)
            if not self._pieces and self._piece is _CHUNK:
                self._transport.write(_END)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Origin, "127.0.0.1", 0, backlog=1024)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def origin(folder: Path, cores: Cores) -> Iterator[int]:
    """Run one; yield its port."""
    command = [sys.executable, "-m", "tests.bench.origin"]
    env = environment(PYTHONPATH=str(ROOT))
    with running(command, folder, cores=cores.others, env=env) as process:
        yield int(until_it_says(process, folder, b"listening")[0].split()[1])


if __name__ == "__main__":
    uvloop.run(_serve())
