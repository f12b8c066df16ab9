"""One connection to upstream, and one exchange at a time on it.

A plain request goes up with :meth:`Connection.relay`, and an answer to it that is plain too goes
down as it came.  After :meth:`Connection.send` the answer is read piece by piece
(:mod:`shim.upstream.answering`); one to a relayed request that turns out not to be plain is, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from enum import Enum, auto
from time import monotonic
from typing import Final, Protocol

from shim.http1.answers import PlainAnswers
from shim.http1.bodies import Piece
from shim.http1.fields import find
from shim.http1.grammar import FramingError
from shim.http1.plain import date_of
from shim.upstream.answering import Answering
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
        self._plain = PlainAnswers()
        self._answering: Answering | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._write_paused = False
        self._second: int | None = None
        self._read_at_once = True
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

    @property
    def answering(self) -> Answering:
        """The answer to the request under way, which is read piece by piece."""
        assert self._answering is not None
        return self._answering

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
        """Send a request, or its head; :attr:`answering` is what comes back."""
        self._begin(head_only=head_only)
        self._read_at_once = len(request) <= _READ_AT_ONCE
        self.deadline = math.inf
        self.asked = monotonic()
        if not self._transport.is_closing():
            self._transport.write(request)

    def expect_answer(self, timeout: float) -> None:
        """Give upstream ``timeout`` seconds to begin its answer, unless it has."""
        if self.state is State.ANSWERING and self.answering.final is None:
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

    def abort(self, why: Exception | None = None) -> None:
        """Close the connection now; who waits for the answer gets ``why``."""
        self._relayer = None
        self._fail(why or UpstreamError("aborted", "The exchange was given up"))

    def end_exchange(self) -> bool:
        """End an exchange that is read piece by piece; return whether another may follow."""
        answering, self._answering = self._answering, None
        final = None if answering is None or not answering.persists else answering.final
        if (
            self.state is not State.ANSWERING
            or final is None
            or self._transport.is_closing()
            or self._may_be_left(final.status)
        ):
            self.abort()
            return False
        self.state = State.IDLE
        self.used = True
        self.deadline = math.inf
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
        if self.state is State.ANSWERING:
            self.answering.close(cleanly=exc is None)
        self.state = State.CLOSED
        self._close_second()
        self._keeper.forget(self)
        self._wake_writer()

    def eof_received(self) -> None:
        """End the connection: closing would wait until upstream has read what it never will."""
        self._transport.abort()

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
            plain = self._plain.borders(data)
            relayer = self._relayer
            if plain is not None and relayer is not None and relayer.open:
                self.node.answered(came)
                if self.node.witness.due(came):
                    self.node.witness.hear(date_of(data, plain.head_end), came)
                self._relayer = None
                if self._may_be_left(plain.status):
                    self._close()
                else:
                    self.state = _IDLE
                    self.deadline = math.inf
                    self.used = True
                    self._keeper.keep(self, came)
                relayer.answered(data, plain.status, came)
                return
            self._hand_over()
        if self.state is not State.ANSWERING or self.answering.ended:
            # What nobody asked for desynchronises whoever asks next.
            self._close()
            return
        try:
            final = self.answering.receive(data)
        except FramingError as error:
            self._fail(UpstreamError("bad_answer", str(error)))
            return
        if final is not None:
            now = monotonic()
            self.deadline = math.inf
            self.node.answered(now)
            if self.node.witness.due(now):
                self.node.witness.hear(find(final.fields, b"date") or b"", now)

    def _may_be_left(self, status: int) -> bool:
        """Whether upstream may not have read the request's body, and closes for that.

        No other request may meet that end, nor what has not been sent yet.
        """
        if self._read_at_once:
            return False
        return status >= 400 or self._transport.get_write_buffer_size() > 0

    def _begin(self, *, head_only: bool) -> None:
        self._answering = Answering(self._loop, self._transport, self._plain, head_only=head_only)
        if self._transport.is_closing():
            self.state = State.CLOSED
            self._answering.fail(ClosedBeforeAnswerError("Upstream closed the connection"))
        else:
            self.state = State.ANSWERING

    def _hand_over(self) -> None:
        """Let the relayed exchange go on piece by piece."""
        relayer, self._relayer = self._relayer, None
        self._begin(head_only=False)
        if relayer is not None:
            relayer.take_over(self)

    # Ends

    def time_out(self, error: UpstreamTimeoutError) -> None:
        """Give up waiting for upstream."""
        if self.state is State.RELAYING:
            self._hand_over()
        self._fail(error)

    def _fail(self, failure: Exception) -> None:
        if self._answering is not None:
            self._answering.fail(failure)
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
