"""One request over HTTP/1.1 and the way back to its sender: what handlers know as a Downstream."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Piece, as_chunk, one_chunk
from shim.http1.fields import end_to_end
from shim.http1.grammar import FramingError
from shim.http1.hop import ForHop, for_hop, head_bytes
from shim.http1.requests import RequestHead
from shim.net.stream import Stream
from shim.proxy.downstream import Abortable, DownstreamGoneError, Memory
from shim.proxy.patience import Patience, Waiting
from shim.upstream.connection import Connection

# Of an answer that has no body, and would be said to have one.
_LENGTH: Final = frozenset((b"content-length",))


class Way(Protocol):
    """The connection that a request came on."""

    memory: Memory
    peer: str
    patience: Patience

    @property
    def open_transport(self) -> asyncio.Transport | None:
        """Where answers go, unless the caller has left."""

    @property
    def ending(self) -> bool:
        """Whether the next answer says that the connection closes."""

    @property
    def writing_paused(self) -> bool:
        """Whether the caller reads too slowly."""

    async def drain(self) -> None:
        """Wait until the caller has read enough, or has gone."""


class Incoming:
    """See :class:`~shim.proxy.downstream.Downstream`, whose methods these are."""

    begun = False

    def __init__(
        self,
        way: Way,
        head: RequestHead,
        body: Stream | None,
        relayed: Connection | None = None,
    ) -> None:
        self.relayed = relayed
        self.upstream: Abortable | None = relayed
        self.head = head
        self.peer = way.peer
        self.memory = way.memory
        self._way = way
        self._body = body
        self._waiting = None if body is None else Waiting(way.patience)
        self._sent: ForHop | None = None
        self._persists = False

    @property
    def gone(self) -> bool:
        """Whether nothing more can be sent to the caller."""
        return self._way.open_transport is None

    @property
    def fault(self) -> FramingError | None:
        """Why the request is not to be acted upon, as far as what has come of it shows."""
        if self.head.fault is not None or self._body is None:
            return self.head.fault
        failure = self._body.failure
        return failure if isinstance(failure, FramingError) else None

    @property
    def body_read(self) -> bool:
        """Whether the whole body of the request has come."""
        return self._body is None or self._body.ended

    @property
    def persists(self) -> bool:
        """Whether another request may follow, once the answer has been sent."""
        return self._persists and self.body_read

    @property
    def until_close(self) -> bool:
        """Whether the end of the connection would be taken for the end of the answer."""
        return self._sent is not None and self._sent.until_close

    def take_body(self) -> bytes:
        """Return what has come of the body and has not been read."""
        return b"" if self._body is None else self._body.take()

    async def read_body(self) -> list[Piece]:
        """Return what has come of the body, nothing at its end."""
        if self._body is None or self._waiting is None:
            return []
        return await self._waiting.read(self._body)

    def interim(self, answer: AnswerHead) -> None:
        """Send a 1xx answer before the final one (RFC 9110 section 15.2: not to HTTP/1.0)."""
        transport = self._way.open_transport
        if transport is not None and self.head.minor_version == 1 and not self.begun:
            transport.write(head_bytes(answer, end_to_end(answer.fields, _LENGTH)))

    async def send(self, answer: AnswerHead, content: bytes, raw: bytes | None = None) -> None:
        """Send a whole answer, where it can as the bytes that it came in."""
        may_persist = self._may_persist and self.body_read
        if raw is not None and may_persist and self.head.minor_version == 1:
            self._persists = True
            await self._send(raw)
            return
        sent = self._frame(answer, may_persist=may_persist)
        if self.head.method == b"HEAD":
            # RFC 9110 section 9.3.2: no body, whatever the fields say.
            content = b""
        elif sent.chunked:
            content = one_chunk(content)
        await self._send(sent.head + content)

    async def begin(self, answer: AnswerHead) -> None:
        """Send the head of an answer whose body follows, piece by piece."""
        await self._send(self._frame(answer, may_persist=self._may_persist).head)

    async def write(self, pieces: list[Piece]) -> None:
        """Send a part of the body."""
        chunked = self._sent is not None and self._sent.chunked
        await self._send(*(as_chunk(pieces) if chunked else pieces))

    async def end(self) -> None:
        """End the body."""
        if self._sent is not None and self._sent.chunked:
            await self._send(one_chunk(b""))

    def caller_left(self) -> None:
        """End what waits for the caller, and what of upstream only the caller waits for."""
        gone = DownstreamGoneError()
        if self._body is not None:
            self._body.fail(gone)
        if self.upstream is not None:
            self.upstream.abort(gone)

    @property
    def _may_persist(self) -> bool:
        return self.head.keep_alive and not self._way.ending

    def _frame(self, answer: AnswerHead, *, may_persist: bool) -> ForHop:
        self._sent = for_hop(self.head, answer, persists=may_persist)
        self._persists = self._sent.persists
        return self._sent

    async def _send(self, *data: Piece) -> None:
        transport = self._way.open_transport
        if transport is None:
            raise DownstreamGoneError
        self.begun = True
        transport.writelines(data)
        if self._way.writing_paused:
            # Every wait is for the better part of a full buffer: that is a least rate too.
            try:
                async with asyncio.timeout(self._way.patience.stall):
                    await self._way.drain()
            except TimeoutError:
                transport.abort()
                raise DownstreamGoneError from None
