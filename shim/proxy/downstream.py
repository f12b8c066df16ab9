"""The connections from callers: aiohttp's low-level server behind the strict framer.

aiohttp keeps the queue of pipelined requests, keep-alive, body streams and flow control.  What it
leaves to a proxy is here: borders decided by :mod:`shim.http1.requests`, refusals in Restate's
shape, a bound on slow heads, answers that are bytes already, and a sign when the caller has gone.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from shim.http1.fields import RawHeaders, end_to_end
from shim.http1.requests import Head, Refusal, RequestFramer
from shim.route.translation import error_body

Handler = Callable[["DownstreamRequest"], Awaitable[web.StreamResponse]]

_LINGER_SECONDS = 1.0
_POISON = b"\0"
_SHOWN_METHOD = "POST"
_RESET = struct.pack("ii", 1, 0)


class DownstreamGoneError(ConnectionError):
    """The caller closed its connection, or stopped reading or sending for too long."""


class DownstreamRequest(web.BaseRequest):
    """A request with its head as it was sent."""

    head: Head
    connection: Downstream

    @property
    def method_sent(self) -> bytes:
        """The method as it was sent; empty where there was no request to be had."""
        return self.head.method if self._message.method == _SHOWN_METHOD else b""

    @property
    def writer_closed(self) -> bool:
        """Whether nothing more can be sent to the caller."""
        return self.transport is None or self.transport.is_closing()

    async def read_body(self) -> bytes:
        """Return the next piece of the body, ``b""`` at its end.

        Raises :class:`DownstreamGoneError` if the caller goes or stalls, and
        :class:`BrokenBodyError` if the body cannot be framed.
        """
        if self.head.broken:
            raise BrokenBodyError(self.head.broken)
        try:
            async with asyncio.timeout(self.connection.stall_timeout):
                data = await self.content.readany()
        except TimeoutError:
            raise BrokenBodyError(
                Refusal(408, "The request's body did not arrive in time")
            ) from None
        except ConnectionError as error:
            raise DownstreamGoneError from error
        except Exception as error:
            # The parser's own complaint: it comes as whatever exception the reader was given.
            refusal = self.head.broken or Refusal(400, "The request's body is malformed")
            raise BrokenBodyError(refusal) from error
        return data

    async def write(self, data: bytes) -> None:
        """Send ``data`` and wait while the caller is slow; raise :class:`DownstreamGoneError`."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise DownstreamGoneError
        self.connection.answer_begun = True
        transport.write(data)
        if self.connection.writing_paused:
            try:
                async with asyncio.timeout(self.connection.stall_timeout):
                    await self.writer.drain()
            except TimeoutError:
                transport.abort()
                raise DownstreamGoneError from None

    def write_interim(self, status: int, reason: bytes, headers: RawHeaders) -> None:
        """Send a 1xx answer (RFC 9110 section 15.2) before the final one."""
        transport = self.transport
        if transport is not None and not self.connection.answer_begun:
            head = b"".join((b"HTTP/1.1 %d " % status, reason, b"\r\n", *end_to_end(headers)))
            transport.write(head + b"\r\n")


class BrokenBodyError(Exception):
    """The body of a request under way turned out to be unframeable, too large or too slow."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Ready(web.StreamResponse):
    """A whole answer as bytes; ``linger`` where the caller may still be sending.

    ``body`` is left out where the request was a HEAD; ``data`` never is.
    """

    # The base class would build header maps that nothing here reads.
    def __init__(
        self, data: bytes, body: bytes = b"", *, keep_alive: bool, linger: bool = False
    ) -> None:
        self._data = data
        self._own_body = body
        self._keep_alive = keep_alive
        self._linger = linger
        self._request: DownstreamRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the answer."""
        if isinstance(request, DownstreamRequest):
            self._request = request
            if request.method_sent == b"HEAD":
                # RFC 9110 section 9.3.2: no body, whatever the fields say.
                self._own_body = b""
            if self._data:
                await request.write(self._data + self._own_body)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """End the answer, and leave the caller time to read it where it was not expected."""
        if self._request is not None:
            if self._linger:
                await self._request.connection.linger()
            self._request.connection.busy = False


def error_answer(refusal: Refusal, *, linger: bool = False, keep_alive: bool = False) -> Ready:
    """Return the shim's own answer in Restate's error shape."""
    body = error_body(refusal.message)
    phrase = HTTPStatus(refusal.status).phrase.encode()
    closing = b"" if keep_alive else b"connection: close\r\n"
    data = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n" % (
        refusal.status,
        phrase,
        len(body),
        closing,
    )
    return Ready(data, body, keep_alive=keep_alive, linger=linger)


class Downstream(web.RequestHandler):
    """One caller's connection."""

    def __init__(
        self,
        server: DownstreamServer,
        *,
        loop: asyncio.AbstractEventLoop,
        stall_timeout: float,
        on_refusal: Callable[[Refusal, str], None],
        on_crash: Callable[[BaseException], None],
        **options: Any,
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self.stall_timeout = stall_timeout
        self.answer_begun = False
        self.busy = False
        self.abort_exchange: Callable[[], None] | None = None
        self.peer = ""
        self._on_refusal = on_refusal
        self._on_crash = on_crash
        self._framer = RequestFramer()
        self._heads: deque[Head] = deque()
        self._refusal: Refusal | None = None
        self._current: DownstreamRequest | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._lingering: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there."""
        peername = transport.get_extra_info("peername")
        self.peer = peername[0] if isinstance(peername, tuple) else "unix"
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand each message to the parser whose borders are certain, and refuse any other."""
        if not data:
            super().data_received(data)
            return
        if self._lingering is not None:
            return
        for part in self._framer.feed(data):
            if isinstance(part, bytes):
                super().data_received(part)
            elif isinstance(part, Head):
                self._heads.append(part)
                super().data_received(part.shown)
            else:
                self._refuse(part)
        if self._head_timer is not None:
            if not self._framer.in_head:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._framer.in_head:
            self._head_timer = self._loop.call_later(self.stall_timeout, self._head_stalled)

    def _refuse(self, refusal: Refusal) -> None:
        self._on_refusal(refusal, self.peer)
        if self._framer.body_broken:
            # Its handler answers, or has answered already; either way it must not wait.
            if self._current is not None and self._current.head.broken:
                self._current.content.set_exception(BrokenBodyError(refusal))
            return
        self._refusal = refusal
        # The parser cannot take this for a request: the refusal gets its turn in the queue.
        super().data_received(_POISON)

    def _head_stalled(self) -> None:
        self._head_timer = None
        if self._framer.stop():
            self._refuse(Refusal(408, "The request's head did not arrive in time"))

    def request_for(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> DownstreamRequest:
        """Join a parsed message with its head as it was sent."""
        request = DownstreamRequest(message, payload, self, writer, task, self._loop)
        request.connection = self
        self.answer_begun = False
        self.busy = True
        # aiohttp makes a request of a parser's complaint too, with a method nothing else has here.
        if message.method == _SHOWN_METHOD:
            request.head = self._heads.popleft()
            self._current = request
        return request

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser or a handler raised, in Restate's shape, and close."""
        if status == HTTPStatus.BAD_REQUEST:
            refusal = self._refusal
            if refusal is None:
                refusal = Refusal(400, "The request is not HTTP/1.1")
                self._on_refusal(refusal, self.peer)
            return error_answer(refusal, linger=True)
        if exc is not None:
            self._on_crash(exc)
        if self.answer_begun:
            raise DownstreamGoneError from exc
        return error_answer(Refusal(500, "The shim failed; its log says how"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free what the caller's exchange holds."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._lingering is not None and not self._lingering.done():
            self._lingering.set_result(None)
        super().connection_lost(exc)
        if self.abort_exchange is not None:
            self.abort_exchange()

    def reset(self) -> None:
        """Break the connection so that nobody takes its end for the end of an answer."""
        if self.transport is not None:
            if self.peer != "unix":
                # Closing alone says "that was all".
                own = self.transport.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    async def linger(self) -> None:
        """Let the caller read the answer before a reset could take it away (RFC 9112 section 9.6).

        What it still sends is thrown away, for a second at most.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._lingering = self._loop.create_future()
        if transport.can_write_eof():
            transport.write_eof()
        self.resume_reading(resume_parser=False)
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._lingering
        except TimeoutError:
            pass
        self.force_close()


class DownstreamServer(web.Server):
    """aiohttp's low-level server, making :class:`Downstream` connections."""

    def __init__(self, handler: Handler, **options: Any) -> None:
        super().__init__(handler, request_factory=self._request)  # type: ignore[arg-type]  # narrower request
        self._options = options

    def close_idle(self) -> None:
        """Close the connections on which no request is under way."""
        for connection in self.connections:
            if isinstance(connection, Downstream) and not connection.busy:
                connection.force_close()

    def __call__(self) -> Downstream:
        """Make the protocol of a new connection."""
        return Downstream(self, loop=self._loop, **self._options)

    @staticmethod
    def _request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        assert isinstance(protocol, Downstream)
        return protocol.request_for(message, payload, writer, task)
