"""One caller's connection: aiohttp's, with our framer in its parser's place.

aiohttp queues, runs the handler in a task of its own, and closes.  What a proxy needs besides is
here: a lane for plain requests before the parser, one message at a time, and how long it may be
silent.  Where a connection turns out to be HTTP/2, what it reads goes to
:mod:`shim.proxy.streams`, and aiohttp sees none of it.

What the relay lane leaves goes this way: ``Front.data_received``, aiohttp's of the same name, the
parser's ``feed_data``, ``Front._read``, and from there as one request at a time onto aiohttp's
queue, whose end is ``FrontServer._handle``.  Once that is done, ``Front.next_message`` sends what
has come meanwhile the same way.

What is used of aiohttp beyond its documented interface is in :mod:`shim.proxy.seams`, and of its
``RequestHandler`` the attributes ``_parser``, ``_loop``, ``writing_paused`` and ``force_close``;
``tests/proxy/test_seams.py`` fails where a later aiohttp moves any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import Enum, auto
from ipaddress import ip_address
from time import monotonic
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD

from shim.http1.grammar import FramingError
from shim.http1.requests import TOO_SLOW_HEAD, RequestFramer, RequestHead
from shim.http2.framing import PREFACE
from shim.net.addresses import unmapped
from shim.net.stream import Stream
from shim.proxy.downstream import Memory
from shim.proxy.incoming import Incoming
from shim.proxy.relay import Relay
from shim.proxy.seams import Parser
from shim.proxy.serving import LINGER_SECONDS, Serving
from shim.proxy.streams import Streams
from shim.proxy.turned_away import TurnedAway
from shim.upstream.connection import Connection

_MOST_HELD: Final = 64 * 1024
_NEVER: Final = 10.0**8
_RESET: Final = struct.pack("ii", 1, 0)


class Turn(Enum):
    """Whose turn it is on a caller's connection."""

    NEW = auto()
    """The caller's: what has come, if anything, does not tell which version of HTTP it speaks."""
    IDLE = auto()
    """The caller's: nothing of a request has come."""
    HEAD = auto()
    """The caller's: a head has begun to arrive."""
    RELAY = auto()
    """Upstream's: a plain request has gone on as it came."""
    HANDLER = auto()
    """The handler's."""
    STREAMS = auto()
    """Everybody's: the caller speaks HTTP/2."""
    OVER = auto()
    """Nobody's: the connection closes, and what still comes is thrown away."""


# Looked up for every request.
_IDLE: Final = Turn.IDLE
_RELAY: Final = Turn.RELAY


class Front(web.RequestHandler):
    """One caller's connection."""

    def __init__(
        self, server: web.Server, serving: Serving, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            # FrontServer sweeps over its connections: aiohttp sees the requests of one lane only.
            keepalive_timeout=_NEVER,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # documented to turn the log off
            lingering_time=0,
        )
        self._parser = Parser(self._read)  # type: ignore[assignment]  # seams
        self._serving = serving
        self._relay = Relay(serving.lane, self)
        self._framer = RequestFramer(serving.max_body)
        self._incoming: Incoming | None = None
        # Where the request that is about to be read has gone already.
        self._relayed: Connection | None = None
        self._queued = False
        self._body: Stream | None = None
        self._too_slow = False
        self._room: asyncio.Future[None] | None = None
        self._left: asyncio.Future[None] | None = None
        self._closing: asyncio.Transport | None = None
        self._answered = 0
        self._streams: Streams | None = None
        self.turn = Turn.NEW
        self.since = monotonic()
        """Since when the caller is waited for: to begin, to go on, or to read its last answer.

        By ``time.monotonic``.
        """
        self.memory = Memory()
        self.peer = ""
        self.patience = serving.patience

    @property
    def ending(self) -> bool:
        """Whether the next answer says that the connection closes.

        It does because the shim is being shut down, or the caller has had its share of requests.
        """
        serving = self._serving
        return serving.draining or self._answered + 1 >= serving.most_requests

    @property
    def open_transport(self) -> asyncio.Transport | None:
        """The transport, unless it is closing: uvloop's raise then, whatever is asked of them."""
        transport = self.transport
        return None if transport is None or transport.is_closing() else transport

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there, or refuse one too many."""
        peername = transport.get_extra_info("peername")
        by_address = isinstance(peername, tuple)
        self.peer = str(unmapped(ip_address(peername[0]))) if by_address else "unix"
        limit = self._serving.admission.admit(self.peer)
        if limit is not None:
            self._serving.incidents.connection_refused(limit, self.peer)
            turned_away = TurnedAway(self._serving, self.peer)
            cast("asyncio.Transport", transport).set_protocol(turned_away)
            turned_away.connection_made(transport)
            return
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._speak_http2(b"")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free what the caller's exchange holds."""
        self._serving.admission.release(self.peer)
        if self.turn is Turn.RELAY:
            self._relay.give_up()
            self._serving.incidents.caller_left(self.peer)
        self.turn = Turn.OVER
        if self._incoming is not None:
            self._incoming.caller_left()
        if self._streams is not None:
            self._streams.caller_left()
        _wake(self._room)
        _wake(self._left)
        if self._queued:
            # aiohttp would forget what it needs to take the request that waits in its queue.
            self._loop.call_soon(super().connection_lost, exc)
        else:
            super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Let :meth:`drain` go on."""
        super().resume_writing()
        _wake(self._room)
        if self._streams is not None:
            self._streams.resumed()

    def data_received(self, data: bytes) -> None:
        """Relay a plain request as it is; let aiohttp have all else read and queued."""
        if self.turn is _IDLE:
            if self._relay.send(data):
                self.turn = _RELAY
                self._framer.empty_lines = 0
            else:
                super().data_received(data)
        elif self.turn is _RELAY:
            self._hold(data)
        elif self._streams is not None:
            self._streams.data_received(data)
        elif self.turn is Turn.NEW:
            self._tell_version(data)
        elif self.turn is not Turn.OVER:
            super().data_received(data)

    # Which version of HTTP

    def _tell_version(self, data: bytes) -> None:
        """Find out from the first bytes of a connection what its caller speaks."""
        before = self._framer.take_back()
        data = before + data
        if data.startswith(PREFACE):
            self._speak_http2(data)
        elif PREFACE.startswith(data):
            # It may become a POST, too.
            if not before:
                self.since = monotonic()
            self._framer.feed(data)
        else:
            self.turn = _IDLE
            if before:
                # What came in pieces is not for the relay lane.
                super().data_received(data)
            else:
                self.data_received(data)

    def _speak_http2(self, data: bytes) -> None:
        self.turn = Turn.STREAMS
        self._streams = Streams(self._serving, self)
        self._streams.data_received(data)
        if self._serving.draining:
            self._streams.leave()

    # The relay lane

    def take_over(self, request: bytes, connection: Connection) -> None:
        """Let the handler go on with what the relay lane has begun."""
        self.turn = Turn.IDLE
        # What came behind the request stays behind it.
        behind = self._framer.take_back()
        self._relayed = connection
        super().data_received(request)
        if self._relayed is not None:
            # aiohttp takes no message any more: it is being shut down.
            connection.abort()
            self._relayed = None
        if behind:
            self._hold(behind)

    # What comes

    def taken(self) -> None:
        """Take note that aiohttp has taken the message off its queue."""
        self._queued = False

    def next_message(self, now: float) -> None:
        """Give the turn to the caller, and read what has come meanwhile."""
        self.turn = _IDLE
        self.since = now
        self._answered += 1
        if self._incoming is not None:
            # What of its body nobody has read must not keep the transport from going on.
            self._incoming.take_body()
            self._incoming = None
        held = self._framer.waiting
        if held:
            super().data_received(b"")
            transport = self.open_transport
            if held > _MOST_HELD >= self._framer.waiting and transport is not None:
                transport.resume_reading()

    def _hold(self, data: bytes) -> None:
        """Keep what came while the turn is not the caller's."""
        self._framer.feed(data)
        self._wait_if_much()

    def _wait_if_much(self) -> None:
        transport = self.open_transport
        if self._framer.waiting > _MOST_HELD and transport is not None:
            transport.pause_reading()

    def _read(self, data: bytes) -> list[tuple[Incoming, Any]]:
        """Read on; return the message whose head is complete, if the turn is the caller's."""
        if data:
            self._framer.feed(data)
        self._read_body()
        message = self._next() if self.turn in (Turn.IDLE, Turn.HEAD) else None
        self._wait_if_much()
        if message is None:
            return []
        self.turn = Turn.HANDLER
        self._queued = True
        # To aiohttp no request has a body: reading it is the handler's, keeping in step is ours.
        return [(message, EMPTY_PAYLOAD)]

    def _next(self) -> Incoming | None:
        head: RequestHead | None
        if self._too_slow:
            head = self._framer.give_up(FramingError(408, TOO_SLOW_HEAD))
        else:
            head = self._framer.next_head()
        if head is None:
            begun = self._framer.in_head or self._framer.waiting > 0
            if begun and self.turn is Turn.IDLE:
                self.turn = Turn.HEAD
                self.since = monotonic()
            return None
        if head.has_body and self.transport is not None:
            self._body = Stream(self._loop, self.transport)
        relayed, self._relayed = self._relayed, None
        self._incoming = Incoming(self, head, self._body, relayed)
        self._read_body()
        return self._incoming

    def _read_body(self) -> None:
        body, framer = self._body, self._framer
        if body is None or not framer.waiting:
            return
        try:
            body.feed(framer.read_body())
        except FramingError as error:
            body.fail(error)
            self._body = None
            framer.take_back()
        else:
            if not framer.in_body:
                body.end()
                self._body = None

    # What goes

    async def drain(self) -> None:
        """Wait until the caller has read enough, or has gone."""
        if self.writing_paused and self.turn is not Turn.OVER:
            self._room = self._loop.create_future()
            await self._room

    # Ends

    def check(self, now: float) -> None:
        """Close a connection on which the caller has been silent for too long."""
        transport = self.transport
        if self._closing is None and transport is not None and transport.is_closing():
            # The caller has said its last.
            self._closing, self.since = transport, now
        if self._closing is not None:
            # It closes once all has been sent, which a caller that does not read can put off.
            if now - self.since > self.patience.stall:
                self._closing.abort()
        elif self._streams is not None:
            self._streams.check(now)
        elif self.turn is Turn.HEAD or (self.turn is Turn.NEW and self._framer.waiting):
            if now - self.since > self._serving.head_timeout:
                self._too_slow = True
                self.turn = Turn.HEAD
                super().data_received(b"")
        elif now - self.since > self._serving.keepalive_timeout:
            self.close_idle()

    def leave(self) -> None:
        """Take note that the shim is being shut down: HTTP/2 has a way to say so."""
        if self._streams is not None:
            self._streams.leave()

    def close_idle(self) -> None:
        """Close unless a request is under way."""
        if self._streams is not None:
            self._streams.take_no_more()
        elif self.turn in (Turn.NEW, Turn.IDLE, Turn.HEAD):
            self.force_close()

    def force_close(self) -> None:
        """Close as soon as what has been written is sent."""
        if self.transport is not None:
            self._closing = self.transport
            self.since = monotonic()
        self.turn = Turn.OVER
        super().force_close()

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
        transport = self.open_transport
        if transport is None:
            return
        if transport.can_write_eof():
            self._left = self._loop.create_future()
            transport.write_eof()
            transport.resume_reading()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._left
        self.force_close()


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
