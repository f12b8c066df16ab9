"""What stands in Restate's place: it answers, and fails in the ways that it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from email.utils import formatdate
from enum import Enum, auto

_PLAIN = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\ndate: %b\r\n\r\n%b"
_ERROR = b'{"message":"not found","restate_code":null}'


class Fault(Enum):
    """What goes wrong with upstream for a while."""

    NONE = auto()
    SILENT = auto()
    CUT_SHORT = auto()
    CLOSES = auto()


class Origin:
    """Listens on a port of its own; `fault` is what it does instead of answering."""

    def __init__(self) -> None:
        self.fault = Fault.NONE
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Take no more connections, and end those there are."""
        if self._server is not None:
            self._server.close()
        self.reset()

    def reset(self) -> None:
        """End every connection in the middle of whatever it does."""
        for writer in list(self._writers):
            writer.transport.abort()

    @contextlib.contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        self.fault = fault
        try:
            yield
        finally:
            self.fault = Fault.NONE

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                method, target = await _request(reader)
                if self.fault is Fault.SILENT:
                    await reader.read()
                    break
                if self.fault is Fault.CLOSES:
                    break
                data = _answer(method, target)
                writer.write(data[: len(data) // 2] if self.fault is Fault.CUT_SHORT else data)
                await writer.drain()
                if self.fault is Fault.CUT_SHORT:
                    break
        self._writers.discard(writer)
        writer.close()


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    method, target, _ = head.split(b" ", 2)
    fields = head.lower()
    if b"\r\ntransfer-encoding: chunked" in fields:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    elif b"\r\ncontent-length: " in fields:
        await reader.readexactly(int(fields.split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0]))
    return method, target


def _answer(method: bytes, target: bytes) -> bytes:
    date = formatdate(usegmt=True).encode()
    if method != b"PATCH":
        body = b"x" * (60_000 if target == b"/large" else 60)
        return _PLAIN % (200, len(body), date, body)
    # A third of the ids are known, a third are not, a third have completed.
    status = (200, 404, 409)[sum(target) % 3]
    body = b"" if status == 200 else _ERROR
    return _PLAIN % (status, len(body), date, body)
