"""Callers of all kinds: each request has one outcome, which is counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from random import Random

_PAUSE = 0.02
_PATIENCE = 30.0
_CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n"


@dataclass
class Told:
    """What callers know: what became of their requests, and of which old calls."""

    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    """Ids of old calls that were answered, however."""
    unanswered: set[str] = field(default_factory=set)
    """Ids of those that were not: they may have been made or not."""


class Caller:
    """One that keeps its connection as long as it may."""

    def __init__(self, port: int, name: str, told: Told, random: Random) -> None:
        self._port = port
        self._name = name
        self._told = told
        self._random = random
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, until: asyncio.Event) -> None:
        """Make one request after another."""
        number = 0
        while not until.is_set():
            number += 1
            await self._one(f"{self._name}-{number}")
            await asyncio.sleep(self._random.random() * _PAUSE)
        self._leave()

    async def _one(self, name: str) -> None:
        told, kind = self._told, self._random.randrange(100)
        told.sent += 1
        old = kind < 30
        try:
            async with asyncio.timeout(_PATIENCE):
                outcome = await self._ask(kind, name)
        except (ConnectionError, asyncio.IncompleteReadError):
            outcome = "failed"
            self._leave()
        except TimeoutError:
            # Neither an answer nor an end: the one thing that must not be.
            outcome = "hung"
            self._leave()
        told.outcomes[outcome] += 1
        if old:
            (told.unanswered if outcome in {"failed", "left", "hung"} else told.answered).add(name)

    async def _ask(self, kind: int, name: str) -> str:
        writer = await self._connected()
        head = b"Host: a\r\nX-Client-Id: %b\r\n" % self._name.encode()
        if kind < 30:
            mode = (b"kill", b"cancel", b"purge", b"KILL")[kind % 4]
            writer.write(b"DELETE /invocations/%b?mode=%b HTTP/1.1\r\n" % (name.encode(), mode))
            writer.write(head + b"\r\n")
        elif kind < 40:
            writer.write(b"PATCH /invocations/%b/kill HTTP/1.1\r\n%b\r\n" % (name.encode(), head))
        elif kind < 50:
            writer.write(b"POST /query HTTP/1.1\r\n" + head + _CHUNKS[0])
            await asyncio.sleep(0.001)
            writer.write(_CHUNKS[1])
        elif kind < 60:
            writer.write(b"POST /query HTTP/1.1\r\n" + head + b"Content-Length: 5\r\n\r\nhello")
        elif kind < 65:
            writer.write(b"GET /large HTTP/1.1\r\n" + head + b"\r\n")
        else:
            writer.write(b"GET /services HTTP/1.1\r\n" + head + b"\r\n")
        await writer.drain()
        if self._random.random() < 0.01:
            self._leave()
            return "left"
        return await self._read()

    async def _connected(self) -> asyncio.StreamWriter:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self._writer

    async def _read(self) -> str:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0])
        await self._reader.readexactly(length)
        if b"\r\nconnection: close\r\n" in head:
            self._leave()
        return head.split(b" ", 2)[1].decode()

    def _leave(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()


async def crowd(port: int, count: int, sends: bytes, seconds: float) -> None:
    """Connections that send this, and then nothing."""
    writers = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sends)
            writers.append(writer)
    await asyncio.sleep(seconds)
    for writer in writers:
        writer.transport.abort()
