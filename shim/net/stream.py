"""A body on its way between two connections: fed on one side, read on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

_MUCH: Final = 256 * 1024
# Copying them into one is cheaper than a write of so many pieces, or of so little in several.
_MANY: Final = 64
_LITTLE: Final = 16 * 1024
# A piece of one byte takes sixty bytes of memory: so many are made one.
_MOST: Final = 4096


class Stream:
    """What of a body has come and has not been read.

    Its ``transport`` pauses while that is much; without one, the sender is held back otherwise.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport | None
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._pieces: list[bytes | memoryview] = []
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
            if piece:
                self._pieces.append(piece)
                self._size += len(piece)
        if len(self._pieces) > _MOST:
            self._pieces = [b"".join(self._pieces)]
        if self._size > _MUCH and self._transport is not None:
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

    @property
    def empty(self) -> bool:
        """Whether all that has come has been read."""
        return not self._pieces

    def take(self) -> bytes:
        """Return what has come and has not been read."""
        return b"".join(self._take())

    async def read(self) -> list[bytes | memoryview]:
        """Wait for more; return all that has come, nothing at the body's end.

        Raises what the body failed with.
        """
        while not self._pieces:
            if self.failure is not None:
                raise self.failure
            if self.ended:
                return []
            self._reader = self._loop.create_future()
            await self._reader
        count = len(self._pieces)
        if count > _MANY or (count > 1 and self._size <= _LITTLE):
            return [self.take()]
        return self._take()

    def _take(self) -> list[bytes | memoryview]:
        pieces, self._pieces = self._pieces, []
        self._size = 0
        self._go_on()
        return pieces

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
