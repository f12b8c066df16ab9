"""A body on its way between two connections: fed on one side, read on the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

_MUCH: Final = 256 * 1024
# So much is read at once: one write for many small pieces is worth copying them.
_LITTLE: Final = 16 * 1024


class Stream:
    """What of a body has come and has not been read; its transport pauses while that is much."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._pieces: deque[bytes | memoryview] = deque()
        self._size = 0
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self.failure: Exception | None = None
        """Why there will be no more, where it is not the end."""
        self.ended = False
        """Whether the body's end has come."""

    def feed(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Take pieces in."""
        for piece in pieces:
            # An empty one, read by itself, would be taken for the end.
            if piece:
                self._pieces.append(piece)
                self._size += len(piece)
        if self._size > _MUCH:
            # Again each time: somebody else may have let the transport go on.
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self) -> None:
        """Take note that this was all."""
        self.ended = True
        self._wake()

    def fail(self, failure: Exception) -> None:
        """Let the reader find out, behind what has come, that there will be no more."""
        if not self.ended and self.failure is None:
            self.failure = failure
            self._wake()

    def take(self) -> bytes:
        """Return what has come and has not been read."""
        pieces = self._pieces
        if not pieces:
            return b""
        whole = bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        self._go_on()
        return whole

    async def read(self) -> bytes | memoryview:
        """Return the next piece, ``b""`` at the body's end; raise what it failed with."""
        while not self._size:
            if self.failure is not None:
                raise self.failure
            if self.ended:
                return b""
            self._reader = self._loop.create_future()
            await self._reader
        if self._size <= _LITTLE:
            return self.take()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size <= _MUCH // 2:
            self._go_on()
        return piece

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
