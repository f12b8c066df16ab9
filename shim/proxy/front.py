"""The connections from callers: aiohttp's low-level server with our framer in its parser's place.

aiohttp accepts, queues, runs the handler in a task of its own, and closes.  What a proxy needs
besides is here: a lane for plain requests before the parser, one message at a time, answers framed
for the caller, and in one place each whether a connection persists and how long it may be silent.

All that is used of aiohttp beyond its documented interface is named in ``tests/proxy/test_seams``:
the attributes ``_parser`` and ``_force_close`` of its ``RequestHandler``, what that asks of a
parser, and what it asks of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from time import monotonic
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.streams import EMPTY_PAYLOAD

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Framing
from shim.http1.fields import Field, end_to_end, field
from shim.http1.grammar import FramingError, LimitError
from shim.http1.requests import RequestFramer, RequestHead
from shim.net.stream import Stream
from shim.proxy.downstream import Downstream, DownstreamGoneError
from shim.proxy.relay import Relay, RelayLane
from shim.proxy.replies import error_reply
from shim.upstream.connection import Connection

Handler = Callable[[Downstream], Awaitable[None]]

_LINGER_SECONDS: Final = 1.0
_MOST_HELD: Final = 64 * 1024
_SWEEP_SECONDS: Final = 1.0
_NEVER: Final = 10.0**8
_RESET: Final = struct.pack("ii", 1, 0)
_CODING: Final = frozenset((b"transfer-encoding",))
_NO_FIELDS: Final[frozenset[bytes]] = frozenset()
# Stands for a head that there was none of.
_UNREADABLE: Final = RequestHead(b"", b"", 1, None, [], Framing.NONE, 0, keep_alive=False)
_WITHOUT_BODY: Final = frozenset((204, 304))


class Turn(Enum):
    """Whose turn it is on a caller's connection."""

    IDLE = auto()
    """The caller's: nothing of a request has come."""
    HEAD = auto()
    """The caller's: a head has begun to arrive."""
    RELAY = auto()
    """Upstream's: a plain request has gone on as it came."""
    HANDLER = auto()
    """The handler's."""
    OVER = auto()
    """Nobody's: the connection closes, and what still comes is thrown away."""


# Looked up for every request.
_IDLE: Final = Turn.IDLE
_RELAY: Final = Turn.RELAY


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer has been sent, and whether the connection persists."""

    def __init__(self, *, persists: bool) -> None:
        super().__init__()
        self._persists = persists

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow."""
        return self._persists

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the head has been sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body has been sent."""


_PERSISTS: Final = Sent(persists=True)
_CLOSES: Final = Sent(persists=False)


class _Parser:
    """Stands where aiohttp has its parser: hands on what the connection reads."""

    def __init__(self, read: Callable[[bytes], list[tuple[Incoming, Any]]]) -> None:
        self._read = read

    def feed_data(self, data: bytes) -> tuple[list[tuple[Incoming, Any]], bool, bytes]:
        """Return the messages that ``data`` completes; protocols are never switched."""
        return self._read(data), False, b""

    def message_consumed(self) -> None:
        """Take note that a message was taken off the queue, which never holds another."""


class Incoming:
    """A request on its way through aiohttp; to handlers it is a :class:`Downstream`."""

    relayed: Connection | None = None
    upstream: Connection | None = None
    begun = False

    def __init__(
        self, front: Front, head: RequestHead, body: Stream | None, unreadable: FramingError | None
    ) -> None:
        self.head = head
        self.peer = front.peer
        self.unreadable = unreadable
        self._front = front
        self._body = body
        self._writer: AbstractStreamWriter | None = None
        self._chunked = False
        self._until_close = False
        self._persists = False
        # What aiohttp wants to set on a request.
        self._task: object = None

    # What aiohttp asks of a request

    def _finish(self) -> None:
        """Take note that the handler is done."""

    def _cancel(self, exc: BaseException) -> None:
        """Take note that the caller has gone; the connection has said so before."""

    # Downstream

    @property
    def gone(self) -> bool:
        """See :class:`Downstream`."""
        transport = self._front.transport
        return transport is None or transport.is_closing()

    @property
    def refusal(self) -> FramingError | None:
        """See :class:`Downstream`."""
        if self._front.server.draining and self.relayed is None:
            return LimitError(503, "The shim is shutting down")
        if self.head.refusal is not None or self._body is None:
            return self.head.refusal
        failure = self._body.failure
        return failure if isinstance(failure, FramingError) else None

    @property
    def body_read(self) -> bool:
        """See :class:`Downstream`."""
        return self._body is None or self._body.ended

    def take_body(self) -> bytes:
        """See :class:`Downstream`."""
        return b"" if self._body is None else self._body.take()

    async def read_body(self) -> bytes:
        """See :class:`Downstream`."""
        if self._body is None:
            return b""
        try:
            async with asyncio.timeout(self._front.stall_timeout):
                return await self._body.read()
        except TimeoutError:
            raise LimitError(408, "The request's body did not arrive in time") from None

    def interim(self, answer: AnswerHead) -> None:
        """See :class:`Downstream`."""
        # RFC 9110 section 15.2: not to a caller of HTTP/1.0.
        if self.head.minor_version == 1 and not self.begun and not self.gone:
            assert self._front.transport is not None
            self._front.transport.write(_head(answer, end_to_end(answer.fields)))

    async def reply(self, answer: AnswerHead, content: bytes, raw: bytes | None = None) -> None:
        """See :class:`Downstream`."""
        self._persists = self._may_persist and self.body_read
        if raw is not None and self._persists and self.head.minor_version == 1:
            await self._send(raw)
            return
        head = self._frame(answer)
        if self.head.method == b"HEAD":
            # RFC 9110 section 9.3.2: no body, whatever the fields say.
            content = b""
        elif self._chunked:
            content = (
                b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
            )
        await self._send(head + content)

    async def begin(self, answer: AnswerHead) -> None:
        """See :class:`Downstream`."""
        self._persists = self._may_persist
        await self._send(self._frame(answer))

    async def write(self, piece: bytes) -> None:
        """See :class:`Downstream`."""
        if self._chunked:
            # Three writes are gathered into one, and the large one is not copied.
            await self._send(b"%x\r\n" % len(piece), piece, b"\r\n")
        else:
            await self._send(piece)

    async def end(self) -> None:
        """See :class:`Downstream`."""
        if self._chunked:
            await self._send(b"0\r\n\r\n")
        self._persists = self._persists and self.body_read

    @property
    def _may_persist(self) -> bool:
        return self.head.keep_alive and not self._front.server.draining

    def _frame(self, answer: AnswerHead) -> bytes:
        """Return the answer's head for this hop (RFC 9112 sections 6.3 and 9.3)."""
        http_11 = self.head.minor_version == 1
        ends = answer.framing in (Framing.NONE, Framing.LENGTH)
        ends = ends or self.head.method == b"HEAD" or answer.status in _WITHOUT_BODY
        self._chunked = http_11 and not ends
        # Where upstream's chunks go on as chunks, the field stays at its place.
        kept = self._chunked and answer.framing is Framing.CHUNKED
        fields = end_to_end(answer.fields, keep=_CODING if kept else _NO_FIELDS)
        if self._chunked and not kept:
            fields.append(field(b"transfer-encoding", b"chunked"))
        # Without a length or chunks, only the end of the connection ends the body.
        self._until_close = not ends and not self._chunked
        self._persists = self._persists and not self._until_close
        if not self._persists:
            fields.append(field(b"connection", b"close"))
        elif not http_11:
            fields.append(field(b"connection", b"keep-alive"))
        return _head(answer, fields)

    async def _send(self, *data: bytes) -> None:
        transport = self._front.transport
        if transport is None or transport.is_closing():
            raise DownstreamGoneError
        self.begun = True
        transport.writelines(data)
        if self._front.writing_paused and self._writer is not None:
            try:
                async with asyncio.timeout(self._front.stall_timeout):
                    await self._writer.drain()
            except TimeoutError:
                transport.abort()
                raise DownstreamGoneError from None
            except ConnectionError:
                raise DownstreamGoneError from None

    # The server

    @property
    def taken(self) -> bool:
        """Whether aiohttp has taken the request off its queue."""
        return self._writer is not None

    def caller_left(self) -> None:
        """End what waits for the caller, and what of upstream only the caller waits for."""
        if self._body is not None:
            self._body.fail(DownstreamGoneError())
        if self.upstream is not None:
            self.upstream.abort()

    async def refuse(self, refusal: FramingError) -> None:
        """Answer what was not to be read as a request, and let the connection close."""
        await self.reply(*error_reply(refusal.status, str(refusal)))
        self._persists = False

    async def finish(self) -> Sent:
        """Say whether the connection persists; wait until it may be closed where it does not."""
        if self._persists:
            self._front.next_message(monotonic())
            return _PERSISTS
        await self._front.linger()
        return _CLOSES

    def break_off(self) -> Sent:
        """Close, though the answer has not ended, so that nobody takes that for its end."""
        if self._until_close:
            self._front.reset()
        self._front.turn = Turn.OVER
        return _CLOSES


class Front(web.RequestHandler):
    """One caller's connection."""

    def __init__(self, server: FrontServer, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            # FrontServer sweeps over its connections: aiohttp sees only one lane's requests.
            keepalive_timeout=_NEVER,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # documented to turn the log off
            lingering_time=0,
        )
        self._parser = _Parser(self._read)  # type: ignore[assignment]  # see the module's docstring
        self.server = server
        self.stall_timeout = server.stall_timeout
        self.turn = Turn.IDLE
        self.since = monotonic()
        """When the turn became the caller's, or the head began (``time.monotonic``)."""
        self.peer = ""
        self._relay = Relay(server.lane, self)
        self._framer = RequestFramer(server.max_body)
        self._incoming: Incoming | None = None
        self._body: Stream | None = None
        self._too_slow = False
        self._over: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there."""
        peername = transport.get_extra_info("peername")
        self.peer = peername[0] if isinstance(peername, tuple) else "unix"
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free what the caller's exchange holds."""
        if self.turn is Turn.RELAY:
            self._relay.give_up()
        self.turn = Turn.OVER
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        incoming = self._incoming
        if incoming is not None:
            incoming.caller_left()
        if incoming is not None and not incoming.taken:
            # aiohttp would forget what it needs to take the request that waits in its queue.
            self._loop.call_soon(super().connection_lost, exc)
        else:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Relay a plain request as it is; let aiohttp have all else read and queued."""
        if self.turn is _IDLE:
            if self._relay.send(data):
                self.turn = _RELAY
            else:
                super().data_received(data)
        elif self.turn is _RELAY:
            self._hold(data)
        elif self.turn is not Turn.OVER:
            super().data_received(data)

    def take_over(self, request: bytes, connection: Connection) -> None:
        """Let the handler go on with what the relay lane has begun."""
        self.turn = Turn.IDLE
        # What came behind the request stays behind it.
        behind = self._framer.take_back()
        super().data_received(request)
        if self._incoming is None:
            # aiohttp takes no message any more: it is being shut down.
            connection.abort()
        else:
            self._incoming.relayed = self._incoming.upstream = connection
        if behind:
            self._hold(behind)

    def _hold(self, data: bytes) -> None:
        """Keep what came while the turn is not the caller's."""
        self._framer.feed(data)
        self._wait_if_much()

    def _wait_if_much(self) -> None:
        if self._framer.waiting > _MOST_HELD and self.transport is not None:
            self.transport.pause_reading()

    # What comes

    def _read(self, data: bytes) -> list[tuple[Incoming, Any]]:
        """Read on; return the message whose head is complete, if the turn is the caller's."""
        if data:
            self._framer.feed(data)
        self._read_body()
        incoming = self._next() if self.turn in (Turn.IDLE, Turn.HEAD) else None
        self._wait_if_much()
        # To aiohttp no request has a body: reading it is the handler's, keeping in step is ours.
        return [] if incoming is None else [(incoming, EMPTY_PAYLOAD)]

    def _next(self) -> Incoming | None:
        try:
            if self._too_slow:
                raise FramingError(408, "The request's head did not arrive in time")
            head = self._framer.next_head()
        except FramingError as error:
            self.server.unreadable(error, self.peer)
            self.turn = Turn.HANDLER
            self._incoming = Incoming(self, _UNREADABLE, None, error)
            return self._incoming
        if head is None:
            if self._framer.in_head and self.turn is Turn.IDLE:
                self.turn = Turn.HEAD
                self.since = monotonic()
            return None
        self.turn = Turn.HANDLER
        if head.has_body and self.transport is not None:
            self._body = Stream(self._loop, self.transport)
        self._incoming = Incoming(self, head, self._body, None)
        self._read_body()
        return self._incoming

    def _read_body(self) -> None:
        body, framer = self._body, self._framer
        if body is None or not framer.waiting:
            return
        try:
            body.feed(framer.read_body())
        except FramingError as error:
            if not isinstance(error, LimitError):
                self.server.unreadable(error, self.peer)
            body.fail(error)
            self._body = None
            framer.take_back()
        else:
            if not framer.in_body:
                body.end()
                self._body = None

    def next_message(self, now: float) -> None:
        """Give the turn to the caller, and read what has come meanwhile."""
        self.turn = _IDLE
        self.since = now
        self._incoming = None
        held = self._framer.waiting
        if held:
            super().data_received(b"")
            if held > _MOST_HELD >= self._framer.waiting and self.transport is not None:
                self.transport.resume_reading()

    # Ends

    def check(self, now: float, keepalive_timeout: float) -> None:
        """Close a connection on which the caller has been silent for too long."""
        if self.turn is Turn.IDLE and now - self.since > keepalive_timeout:
            self.force_close()
        elif self.turn is Turn.HEAD and now - self.since > self.stall_timeout:
            self._too_slow = True
            super().data_received(b"")

    def reset(self) -> None:
        """Break the connection: closing alone would say "that was all"."""
        transport = self.transport
        if transport is not None:
            if self.peer != "unix":
                own = transport.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()

    async def linger(self) -> None:
        """Let the caller read the answer before a reset could take it away (RFC 9112 section 9.6).

        What it still sends is thrown away, for a second at most.
        """
        self.turn = Turn.OVER
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            self._over = self._loop.create_future()
            transport.write_eof()
            transport.resume_reading()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    await self._over
        self.force_close()


class FrontServer(web.Server):
    """aiohttp's low-level server, making :class:`Front` connections.

    Timeouts are in seconds, ``max_body`` in bytes.  ``unreadable`` is told what was refused because
    its borders are not certain, and whose it was; ``crashed`` what a handler failed with.
    """

    def __init__(
        self,
        handler: Handler,
        lane: RelayLane,
        *,
        unreadable: Callable[[FramingError, str], None],
        crashed: Callable[[BaseException], None],
        stall_timeout: float,
        keepalive_timeout: float,
        max_body: int | None,
    ) -> None:
        super().__init__(self._handle, request_factory=self._take)  # type: ignore[arg-type]  # ours
        self.lane = lane
        self.draining = False
        self.unreadable = unreadable
        self.stall_timeout = stall_timeout
        self.max_body = max_body
        self._handler = handler
        self._crashed = crashed
        self._keepalive_timeout = keepalive_timeout
        self._tick = min(_SWEEP_SECONDS, stall_timeout / 8, keepalive_timeout / 8)
        self._sweeper: asyncio.TimerHandle | None = None

    def __call__(self) -> Front:
        """Make the protocol of a new connection."""
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._tick, self._sweep)
        return Front(self, loop=self._loop)

    def drain(self) -> None:
        """Take no request from now on; answers say that their connections close."""
        self.draining = True
        self.lane.open = False

    def close_idle(self) -> None:
        """Close the connections on which no request is under way."""
        for connection in self.connections:
            if isinstance(connection, Front) and connection.turn in (Turn.IDLE, Turn.HEAD):
                connection.force_close()

    def _sweep(self) -> None:
        self._sweeper = None
        now = monotonic()
        connections = self.connections
        for connection in connections:
            if isinstance(connection, Front):
                connection.check(now, self._keepalive_timeout)
        if connections:
            self._sweeper = self._loop.call_later(self._tick, self._sweep)

    async def _handle(self, incoming: Incoming) -> Sent:
        try:
            if incoming.unreadable is not None:
                await incoming.refuse(incoming.unreadable)
            else:
                await self._handler(incoming)
        except DownstreamGoneError:
            return incoming.break_off()
        except Exception as error:  # noqa: BLE001 - whatever a handler fails with is told
            self._crashed(error)
            if incoming.begun:
                return incoming.break_off()
            with contextlib.suppress(DownstreamGoneError):
                await incoming.reply(*error_reply(500, "The shim failed; its log says how"))
        finally:
            if incoming.relayed is not None:
                incoming.relayed.abort()
        return await incoming.finish()

    @staticmethod
    def _take(
        message: Incoming,
        payload: Any,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Incoming:
        del payload, protocol, task
        message._writer = writer  # noqa: SLF001 - this is where it comes from
        return message


def _head(answer: AnswerHead, fields: list[Field]) -> bytes:
    lines = b"".join([line for _, _, line in fields])
    return b"HTTP/1.1 %d %s\r\n%s\r\n" % (answer.status, answer.reason, lines)
