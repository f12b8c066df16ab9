"""One connection to upstream, and one exchange at a time on it.

A plain request goes up with :meth:`Connection.relay`, and an answer to it that is plain too goes
down as it came.  Every other exchange is read piece by piece: :meth:`Connection.send`, then
:meth:`Connection.next_head`, then :attr:`Connection.body`; a relayed one whose answer turns out not
to be plain goes on like that.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections import deque
from enum import Enum, auto
from time import monotonic
from typing import Final, Protocol

from shim.http1.answers import AnswerFramer, AnswerHead, plain_whole
from shim.http1.bodies import Piece
from shim.http1.fields import find
from shim.http1.grammar import FramingError
from shim.http1.plain import date_of, plain_answer
from shim.net.stream import Stream
from shim.upstream.errors import ClosedBeforeAnswerError, UpstreamError, UpstreamTimeoutError
from shim.upstream.node import Node


class State(Enum):
    """What a connection is doing."""

    IDLE = auto()
    RELAYING = auto()
    """A plain request has gone up, and no byte of its answer has come."""
    ANSWERING = auto()
    """An exchange that is read piece by piece is under way, or waits to be given back."""
    CLOSED = auto()


_MOST_REMEMBERED: Final = 1024
_READ: Final = 64 * 1024
# What comes in one write and is no larger is read at once, body and all, whoever reads: hyper's
# first buffer (INIT_BUFFER_SIZE) has this size.
_READ_AT_ONCE: Final = 8 * 1024
# Looked up for every request.
_IDLE = State.IDLE
_RELAYING = State.RELAYING


class Relayer(Protocol):
    """Who has relayed a plain request."""

    @property
    def open(self) -> bool:
        """Whether a plain answer may go down as it came: not while connections are to close."""

    def answered(self, data: bytes, status: int, came: float) -> None:
        """Take a whole plain answer, which ``came`` just now; the connection is idle again."""

    def take_over(self, connection: Connection) -> None:
        """Read on by the ordinary way: the answer is not plain, or there is none."""


class Keeper(Protocol):
    """Who keeps connections that are idle."""

    def keep(self, connection: Connection, now: float) -> None:
        """Keep a connection whose exchange has ended well; ``now`` by ``time.monotonic``."""

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is closed."""


class Connection(asyncio.Protocol):
    """One connection to upstream and the exchange under way on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, keeper: Keeper, node: Node) -> None:
        self.node = node
        self._loop = loop
        self._keeper = keeper
        self._transport: asyncio.Transport
        self._relayer: Relayer | None = None
        self._head_only = False
        self._heads: deque[AnswerHead] = deque()
        self._final: AnswerHead | None = None
        self._framer: AnswerFramer | None = None
        self._failure: UpstreamError | None = None
        self._head_waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._write_paused = False
        self._second: int | None = None
        self._read_at_once = True
        self._last_answer = b""
        self._last_whole: tuple[AnswerHead, bytes] | None = None
        self.body: Stream
        """The body of the answer whose final head has come."""
        self.raw: bytes | None = None
        """The answer's bytes, if it came in one read and is plain."""
        self.state = State.IDLE
        self.used = False
        """Whether an exchange has ended on it before."""
        self.since = 0.0
        """When it became idle, by ``time.monotonic``."""
        self.asked = 0.0
        """When the request under way was sent, likewise."""
        self.deadline = math.inf
        """When upstream must have begun its answer, likewise."""

    @property
    def free(self) -> bool:
        """Whether an exchange may begin; upstream may have left, and nobody been told yet."""
        return self.state is _IDLE and not self._transport.is_closing()

    # The exchange

    def relay(self, request: bytes, relayer: Relayer, now: float, timeout: float) -> None:
        """Send a whole plain request; ``relayer`` gets the answer, begun in ``timeout`` seconds."""
        self.state = _RELAYING
        self._relayer = relayer
        self._read_at_once = len(request) <= _READ_AT_ONCE
        self.asked = now
        self.deadline = now + timeout
        self._transport.write(request)

    def send(self, request: bytes, *, head_only: bool) -> None:
        """Send a request, or its head, and await the answer piece by piece.

        ``head_only`` says that the answer has no body whatever its fields say (RFC 9110 section
        9.3.2).
        """
        self._begin(head_only=head_only)
        self._read_at_once = len(request) <= _READ_AT_ONCE
        self.deadline = math.inf
        self.asked = monotonic()
        if not self._transport.is_closing():
            self._transport.write(request)

    def expect_answer(self, timeout: float) -> None:
        """Give upstream ``timeout`` seconds to begin its answer, unless it has."""
        if self.state is State.ANSWERING and self._final is None:
            self.deadline = monotonic() + timeout

    def write(self, pieces: list[Piece]) -> None:
        """Send a part of the request's body."""
        if not self._transport.is_closing():
            if self._second is None:
                self._second = _second_descriptor(self._transport)
            self._read_at_once = False
            self._transport.writelines(pieces)

    async def drain(self) -> None:
        """Wait until upstream has read enough of the body; return at once when it is gone."""
        if self._write_paused and self.state is not State.CLOSED:
            self._write_waiter = self._loop.create_future()
            await self._write_waiter

    async def next_head(self) -> AnswerHead:
        """Return the next head, interim or final; raise :class:`UpstreamError`.

        An answer that has broken off by now is told of as none: nothing of it has gone on yet.
        """
        while self._failure is not None or not self._heads:
            if self._failure is not None:
                raise self._failure
            self._head_waiter = self._loop.create_future()
            await self._head_waiter
        return self._heads.popleft()

    def abort(self, failure: UpstreamError | None = None) -> None:
        """Close the connection now and end its exchange."""
        self._relayer = None
        self._fail(failure or UpstreamError("aborted", "The exchange was given up"))

    def end_exchange(self) -> bool:
        """End an exchange that is read piece by piece; return whether another may follow."""
        reusable = (
            self.state is State.ANSWERING
            and self._final is not None
            and self.body.ended
            and not (self._framer is not None and self._framer.unread)
            and self._final.keep_alive
            and self._failure is None
            and not self.body.take()
            and not self._may_be_left(self._final.status)
        )
        if not reusable:
            self.abort()
            return False
        self.state = State.IDLE
        self.used = True
        self.deadline = math.inf
        self.raw = None
        self._close_second()
        return True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Find out what the end of the connection is the end of."""
        if self.state is State.RELAYING:
            self._hand_over()
        if exc is not None:
            self._hear_out()
        if self.state is State.ANSWERING and not self._ended:
            framer = self._framer
            if framer is None:
                message = "Upstream closed before it answered"
                self._fail(ClosedBeforeAnswerError("closed", message))
            elif framer.in_body and exc is None and framer.close():
                # RFC 9112 section 6.3, rule 8: without a length it ends where the connection does.
                self.body.end()
            else:
                self._fail(UpstreamError("truncated", "Upstream broke off its answer"))
        self.state = State.CLOSED
        self._close_second()
        self._keeper.forget(self)
        self._wake_writer()

    def pause_writing(self) -> None:
        """Let :meth:`drain` wait."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let :meth:`drain` go on."""
        self._write_paused = False
        self._wake_writer()

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer, or all of it."""
        if self.state is _RELAYING:
            came = monotonic()
            plain = plain_answer(data)
            relayer = self._relayer
            if plain is not None and relayer is not None and relayer.open:
                self.node.answered(came)
                if self.node.witness.due(came):
                    self.node.witness.hear(date_of(data, plain[1]), came)
                self._relayer = None
                if self._may_be_left(plain[0]):
                    self._close()
                else:
                    self.state = _IDLE
                    self.deadline = math.inf
                    self.used = True
                    self._keeper.keep(self, came)
                relayer.answered(data, plain[0], came)
                return
            self._hand_over()
            self._framer = AnswerFramer(head_only=False)
        if self.state is not State.ANSWERING or self._ended:
            # What nobody asked for desynchronises whoever asks next.
            self._close()
            return
        if self._framer is None:
            whole = None if self._head_only else self._plain_whole(data)
            if whole is not None:
                self.raw = data
                self._begin_body(whole[0])
                self.body.feed((whole[1],))
                self.body.end()
                self._wake_reader()
                return
            self._framer = AnswerFramer(head_only=self._head_only)
        try:
            self._read(self._framer, data)
        except FramingError as error:
            self._fail(UpstreamError("bad_answer", str(error)))

    def _plain_whole(self, data: bytes) -> tuple[AnswerHead, bytes] | None:
        """Read a plain answer: small ones are often the same, but for the date, again and again."""
        if data == self._last_answer:
            return self._last_whole
        whole = plain_whole(data)
        if len(data) <= _MOST_REMEMBERED:
            self._last_answer, self._last_whole = data, whole
        return whole

    def _may_be_left(self, status: int) -> bool:
        """Whether upstream may not have read the request's body, and closes for that.

        No other request may meet that end.
        """
        return status >= 400 and not self._read_at_once

    @property
    def _ended(self) -> bool:
        return self._final is not None and self.body.ended

    def _begin(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._heads.clear()
        self._final = None
        self._framer = None
        self.raw = None
        if self._transport.is_closing():
            self.state = State.CLOSED
            self._failure = ClosedBeforeAnswerError("closed", "Upstream closed the connection")
        else:
            self.state = State.ANSWERING

    def _hand_over(self) -> None:
        """Let the relayed exchange go on piece by piece."""
        relayer, self._relayer = self._relayer, None
        self._begin(head_only=False)
        if relayer is not None:
            relayer.take_over(self)

    def _begin_body(self, head: AnswerHead) -> None:
        now = monotonic()
        self.node.answered(now)
        if self.node.witness.due(now):
            self.node.witness.hear(find(head.fields, b"date") or b"", now)
        self._heads.append(head)
        self._final = head
        self.deadline = math.inf
        self.body = Stream(self._loop, self._transport)

    def _read(self, framer: AnswerFramer, data: bytes) -> None:
        framer.feed(data)
        while self._final is None and (head := framer.next_head()) is not None:
            if head.interim:
                self._heads.append(head)
            else:
                self._begin_body(head)
        if framer.in_body:
            self.body.feed(framer.read_body())
        if framer.ended:
            self.body.end()
        if self._heads:
            self._wake_reader()

    # Ends

    def time_out(self, error: UpstreamTimeoutError) -> None:
        """Give up waiting for upstream."""
        if self.state is State.RELAYING:
            self._hand_over()
        self._fail(error)

    def _fail(self, failure: UpstreamError) -> None:
        if self._failure is None:
            self._failure = failure
        if self._final is not None:
            self.body.fail(self._failure)
        self._wake_reader()
        self._close()
        self._wake_writer()

    def _close(self) -> None:
        self.state = State.CLOSED
        self.deadline = math.inf
        self._close_second()
        self._transport.abort()

    def _hear_out(self) -> None:
        """Read what upstream said before it closed, and the transport gave up on writing.

        Who answers without reading the body, and closes, resets the connection: the answer waits to
        be read while the next piece of the body can no longer be written.
        """
        with contextlib.suppress(OSError):
            while self._second is not None and (data := os.read(self._second, _READ)):
                self.data_received(data)

    def _close_second(self) -> None:
        if self._second is not None:
            os.close(self._second)
            self._second = None

    def _wake_reader(self) -> None:
        waiter, self._head_waiter = self._head_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _wake_writer(self) -> None:
        waiter, self._write_waiter = self._write_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _second_descriptor(transport: asyncio.Transport) -> int | None:
    """Return a descriptor to read from once ``transport`` has closed its own.

    There is none for TLS, whose bytes nobody else could read, nor where there are no more.
    """
    if transport.get_extra_info("ssl_object") is not None:
        return None
    with contextlib.suppress(OSError):
        return os.dup(transport.get_extra_info("socket").fileno())
    return None
