"""One request over HTTP/2 and the way back to its sender: what handlers know as a Downstream."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn, Protocol

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Piece
from shim.http1.fields import Fields, end_to_end
from shim.http1.grammar import FramingError
from shim.http1.requests import RequestHead, too_large
from shim.http2.requests import TOO_SHORT
from shim.net.stream import Stream
from shim.proxy.downstream import Abortable, DownstreamGoneError, Memory
from shim.proxy.patience import Patience, Waiting
from shim.upstream.connection import Connection

# Of an answer that has no body, and would be said to have one.
_LENGTH: Final = frozenset((b"content-length",))
# What has to get through in the time that a caller may stall: that is a least rate too.
_MOST_AT_ONCE: Final = 16 * 1024


class Way(Protocol):
    """The connection that a request came on, as far as its stream knows it."""

    memory: Memory
    peer: str
    patience: Patience

    def acknowledge(self, stream: int, size: int) -> None:
        """Let the caller send so many more bytes: they have been taken."""

    def send_head(self, stream: int, status: int, fields: Fields, *, ended: bool) -> None:
        """Send the head of an answer, interim or final."""

    def send_data(self, stream: int, data: memoryview, *, ended: bool) -> memoryview | None:
        """Send of ``data`` what the caller takes now; return the rest, ``None`` if all is sent."""

    @property
    def writing_paused(self) -> bool:
        """Whether the caller reads too slowly, whatever is sent."""

    async def sendable(self, stream: int, *, content: bool) -> None:
        """Wait until more may be sent on a stream (its ``content``, or anything), or it is over."""

    def stalled(self, stream: int) -> None:
        """Give up a stream whose caller does not take what it gets."""


class Body(Stream):
    """A request's body, of which no more waits to be read than its window.

    ``length`` is what it is said to have, ``most`` what it may have, in bytes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, length: int | None, most: int | None
    ) -> None:
        super().__init__(loop, None)
        self._length = length
        self._most = most
        self._came = 0

    def take_in(self, data: bytes) -> bool:
        """Take a part in, or return that it is not wanted any more."""
        self._came += len(data)
        if self.failure is None and self._length is not None and self._came > self._length:
            self.fail(FramingError(400, "The body is longer than its Content-Length"))
        if self.failure is None and self._most is not None and self._came > self._most:
            self.fail(too_large(self._most))
        if self.failure is not None:
            return False
        self.feed((data,))
        return True

    def end(self) -> None:
        """Take note that this was all."""
        if self._length is not None and self._came < self._length:
            self.fail(FramingError(400, TOO_SHORT))
        if self.failure is None:
            super().end()


class IncomingStream:
    """See :class:`~shim.proxy.downstream.Downstream`, whose methods these are."""

    relayed: Connection | None = None
    upstream: Abortable | None = None
    begun = False
    gone = False
    """Whether nothing more can be sent to the caller."""
    ended = False
    """Whether all of the answer has been sent."""

    def __init__(self, way: Way, number: int, head: RequestHead, body: Body) -> None:
        self.number = number
        self.head = head
        self.peer = way.peer
        self.memory = way.memory
        self._way = way
        self._body = body
        self._waiting = Waiting(way.patience)
        self._taken = 0

    @property
    def fault(self) -> FramingError | None:
        """Why the request is not to be acted upon, as far as what has come of it shows."""
        failure = self._body.failure
        return self.head.fault or (failure if isinstance(failure, FramingError) else None)

    @property
    def body_read(self) -> bool:
        """Whether the whole body of the request has come."""
        return self._body.ended

    def take_body(self) -> bytes:
        """Return what has come of the body and has not been read."""
        data = self._body.take()
        self._taken += len(data)
        return data

    async def read_body(self) -> list[Piece]:
        """Return what has come of the body, nothing at its end.

        Who asks for more has got rid of what it had, so that the caller may send as much again.
        """
        self._acknowledge()
        pieces = await self._waiting.read(self._body)
        self._taken += sum(map(len, pieces))
        return pieces

    def _acknowledge(self) -> None:
        taken, self._taken = self._taken, 0
        self._way.acknowledge(self.number, taken)

    def interim(self, answer: AnswerHead) -> None:
        """Send a 1xx answer before the final one."""
        if not self.gone and not self.begun:
            fields = end_to_end(answer.fields, _LENGTH)
            self._way.send_head(self.number, answer.status, fields, ended=False)

    async def send(self, answer: AnswerHead, content: bytes, raw: bytes | None = None) -> None:
        """Send a whole answer; its ``raw`` bytes are of another version."""
        del raw
        if self.head.method == b"HEAD":
            content = b""
        await self._send_head(answer, ended=not content)
        if content:
            await self._send(content, ended=True)

    async def begin(self, answer: AnswerHead) -> None:
        """Send the head of an answer whose body follows, piece by piece."""
        await self._send_head(answer, ended=False)

    async def write(self, pieces: list[Piece]) -> None:
        """Send a part of the body."""
        for piece in pieces:
            await self._send(piece, ended=False)

    async def end(self) -> None:
        """End the body."""
        if not self.ended:
            await self._send(b"", ended=True)

    def caller_left(self) -> None:
        """Take note that the stream is over, and end what of upstream only its caller waits for."""
        if not self.gone:
            self.gone = True
            gone = DownstreamGoneError()
            self._body.fail(gone)
            if self.upstream is not None:
                self.upstream.abort(gone)

    def feed(self, data: bytes, *, ended: bool) -> None:
        """Take a part of the body in."""
        if not self._body.take_in(data):
            self._way.acknowledge(self.number, len(data))
        if ended:
            self._body.end()

    def fail(self, problem: FramingError) -> None:
        """Take note that the body is not one."""
        self._body.fail(problem)

    def let_go(self) -> None:
        """Give back what the stream holds of its connection's window: nobody will read it."""
        self.take_body()
        self._acknowledge()

    async def _send_head(self, answer: AnswerHead, *, ended: bool) -> None:
        if self.gone:
            raise DownstreamGoneError
        self.begun = True
        self.ended = ended
        fields = end_to_end(answer.fields)
        self._way.send_head(self.number, answer.status, fields, ended=ended)
        if self._way.writing_paused:
            try:
                async with asyncio.timeout(self._way.patience.stall):
                    await self._way.sendable(self.number, content=False)
            except TimeoutError:
                self._give_up()

    async def _send(self, data: Piece, *, ended: bool) -> None:
        view = memoryview(data)
        while len(view) > _MOST_AT_ONCE:
            await self._send_part(view[:_MOST_AT_ONCE], ended=False)
            view = view[_MOST_AT_ONCE:]
        await self._send_part(view, ended=ended)

    async def _send_part(self, part: memoryview, *, ended: bool) -> None:
        """Send what has to get through in the time that a caller may stall."""
        if self.gone:
            raise DownstreamGoneError
        left = self._way.send_data(self.number, part, ended=ended)
        if left is not None:
            try:
                async with asyncio.timeout(self._way.patience.stall):
                    while left is not None:
                        await self._way.sendable(self.number, content=len(left) > 0)
                        if self.gone:
                            raise DownstreamGoneError
                        left = self._way.send_data(self.number, left, ended=ended)
            except TimeoutError:
                self._give_up()
        self.ended = ended

    def _give_up(self) -> NoReturn:
        self._way.stalled(self.number)
        self.caller_left()
        raise DownstreamGoneError from None
