"""One exchange between a caller and upstream: the request on, the answer back, byte for byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from aiohttp import web

from shim.http1.fields import end_to_end, find, forwarded_request
from shim.http1.requests import Refusal
from shim.proxy.downstream import BrokenBodyError, DownstreamGoneError, DownstreamRequest, Ready
from shim.route.caller import Network, is_trusted
from shim.upstream.connection import Connection
from shim.upstream.errors import (
    Answer,
    ClosedBeforeAnswerError,
    UpstreamError,
    UpstreamTimeoutError,
)
from shim.upstream.health import UpstreamHealth
from shim.upstream.pool import Pool

_NO_FIELDS: Final[frozenset[bytes]] = frozenset()
_CODING: Final = frozenset((b"transfer-encoding",))


class Exchange:
    """An answer whose head has come, and the connection that the rest of it comes from."""

    def __init__(
        self,
        request: DownstreamRequest,
        pool: Pool,
        connection: Connection,
        answer: Answer,
        *,
        pump: asyncio.Task[None] | None,
        seconds: float,
    ) -> None:
        self.answer = answer
        self.connection = connection
        self.seconds = seconds
        self._request = request
        self._pool = pool
        self._pump = pump

    @property
    def body_under_way(self) -> bool:
        """Whether the request's body is still being sent: an answer may come before its end."""
        return self._pump is not None and not self._pump.done()

    def end(self) -> None:
        """Give the connection back; one with half a request on it is closed."""
        self._request.connection.abort_exchange = None
        if self._pump is not None:
            _settle(self._pump)
            if self._pump.cancelling() or self._pump.cancelled():
                self.connection.abort()
        self._pool.give_back(self.connection)

    async def read_whole(self, limit: int) -> bytes:
        """Return the whole body and end the exchange; raise ``UpstreamError`` past ``limit``."""
        answer = self.answer
        try:
            if answer.complete:
                return answer.body
            pieces, size = [], 0
            while piece := await read_in_time(self.connection, self._pool.answer_timeout):
                size += len(piece)
                if size > limit:
                    raise UpstreamError(
                        "bad_answer", "Upstream's answer is far larger than expected"
                    )
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self.end()


class Gateway:
    """Carries requests to upstream and answers back.

    ``scheme`` is that of the listener; ``default_host`` is the Host of HTTP/1.0 requests without
    one; ``max_body`` is in bytes.
    """

    def __init__(
        self,
        pool: Pool,
        health: UpstreamHealth,
        *,
        trusted_proxies: tuple[Network, ...],
        scheme: bytes,
        default_host: bytes,
        max_body: int | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._pool = pool
        self._health = health
        self._trusted_proxies = trusted_proxies
        self._scheme = scheme
        self._default_host = default_host
        self._max_body = max_body
        self._loop = loop

    def request_head(
        self,
        request: DownstreamRequest,
        method: bytes,
        target: bytes,
        *,
        with_body: bool,
        without: frozenset[bytes] = _NO_FIELDS,
    ) -> bytes:
        """Return the head to send upstream: the caller's, less this hop's fields, plus ours."""
        head = request.head
        peer = request.connection.peer
        host = head.authority
        if head.minor_version == 0:
            # RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is to be ignored.
            without |= {b"expect"}
            if host is None and find(request.head.fields, b"host") is None:
                host = self._default_host
        lines = forwarded_request(
            request.head.fields,
            peer=b"unknown" if peer == "unix" else peer.encode(),
            proto=self._scheme,
            version=b"1.%d" % head.minor_version,
            host=host,
            trusted=is_trusted(peer, self._trusted_proxies),
            without=without,
        )
        if with_body and head.content_length is None:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        return b"".join((method, b" ", target, b" HTTP/1.1\r\n", *lines, b"\r\n"))

    async def open(
        self,
        request: DownstreamRequest,
        raw: bytes,
        *,
        repeatable: bool,
        head_only: bool = False,
        with_body: bool = False,
        see_it_through: bool = False,
    ) -> Exchange:
        """Send ``raw`` (and the body) and wait for the answer's head.

        A pooled connection that closes before a byte of the answer came is replaced once by a
        fresh one if the request is ``repeatable`` (RFC 9110 section 9.2.2).  A caller that leaves
        ends the exchange, unless ``see_it_through``: such a call has an effect to be recorded.
        Raises ``UpstreamError``, ``BrokenBodyError`` and ``DownstreamGoneError``.
        """
        how = {"head_only": head_only, "with_body": with_body, "see_it_through": see_it_through}
        connection = self._pool.take()
        if connection is not None:
            used = connection.used
            try:
                return await self._attempt(request, raw, connection, **how)
            except ClosedBeforeAnswerError:
                if not (repeatable and used):
                    raise
        connection = await self._pool.connect()
        return await self._attempt(request, raw, connection, **how)

    def failed(self, error: UpstreamError) -> None:
        """Take note that an exchange failed."""
        self._health.failed(error)

    async def _attempt(
        self,
        request: DownstreamRequest,
        raw: bytes,
        connection: Connection,
        *,
        head_only: bool,
        with_body: bool,
        see_it_through: bool,
    ) -> Exchange:
        downstream = request.connection
        if not see_it_through:
            if request.writer_closed:
                self._pool.give_back(connection)
                raise DownstreamGoneError
            downstream.abort_exchange = connection.abort
        began = time.perf_counter()
        answered = connection.send(
            raw,
            head_only=head_only,
            timeout=None if with_body else self._pool.answer_timeout,
            on_informational=None if request.head.minor_version == 0 else request.write_interim,
        )
        pump: asyncio.Task[None] | None = None
        if with_body:
            pump = self._loop.create_task(self._send_body(request, connection))
        try:
            answer = await answered
        except BaseException:
            downstream.abort_exchange = None
            connection.abort()
            self._pool.give_back(connection)
            if pump is not None and (failure := _settle(pump)):
                raise failure from None
            if request.writer_closed and not see_it_through:
                raise DownstreamGoneError from None
            raise
        if self._health.failure is not None:
            self._health.answered()
        seconds = time.perf_counter() - began
        return Exchange(request, self._pool, connection, answer, pump=pump, seconds=seconds)

    async def _send_body(self, request: DownstreamRequest, connection: Connection) -> None:
        """Hand the request's body on at the pace of the slower side."""
        chunked = request.head.content_length is None
        size = 0
        try:
            while data := await request.read_body():
                size += len(data)
                if self._max_body is not None and size > self._max_body:
                    raise BrokenBodyError(Refusal(413, too_large(self._max_body)))
                connection.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                async with asyncio.timeout(self._pool.answer_timeout):
                    await connection.drain()
            if chunked:
                connection.write(b"0\r\n\r\n")
            connection.start_timer(self._pool.answer_timeout)
        except TimeoutError:
            connection.abort(UpstreamTimeoutError("timeout", "Upstream stopped reading the body"))
        except (BrokenBodyError, DownstreamGoneError) as error:
            connection.abort(UpstreamError("downstream", str(error)))
            raise

    async def relay(
        self, request: DownstreamRequest, exchange: Exchange, *, keep_alive: bool
    ) -> web.StreamResponse:
        """Send upstream's answer down as it came, and end the exchange."""
        answer = exchange.answer
        early = exchange.body_under_way
        http_11 = request.head.minor_version == 1
        keep_alive = keep_alive and request.head.keep_alive and not (early and answer.complete)
        if answer.raw is not None and keep_alive and http_11:
            exchange.end()
            return Ready(answer.raw, keep_alive=True)
        no_body = request.head.method == b"HEAD" or answer.status in (204, 304)
        chunked = http_11 and not no_body and not answer.content_length
        # Without a length or chunks, only the end of the connection ends the body.
        keep_alive = keep_alive and (no_body or answer.content_length or chunked)
        # Where upstream's chunks go on as chunks, the field stays at its place.
        kept = chunked and answer.chunked
        lines = end_to_end(answer.headers, keep=_CODING if kept else _NO_FIELDS)
        if chunked and not kept:
            lines.append(b"transfer-encoding: chunked\r\n")
        start = answer_head(request, answer.status, answer.reason, lines, keep_alive=keep_alive)
        if answer.complete:
            exchange.end()
            if no_body:
                return Ready(start, keep_alive=keep_alive, linger=early)
            body = _last_chunks(answer.body) if chunked else answer.body
            return Ready(start + body, keep_alive=keep_alive, linger=early)
        try:
            await self._stream(request, exchange.connection, start, chunked=chunked)
        except UpstreamError:
            if not chunked and not answer.content_length:
                # The caller would take the end of the connection for the end of the body.
                request.connection.reset()
            raise
        finally:
            early = exchange.body_under_way
            exchange.end()
        return Ready(b"", keep_alive=keep_alive and not early, linger=early)

    async def _stream(
        self, request: DownstreamRequest, connection: Connection, start: bytes, *, chunked: bool
    ) -> None:
        await request.write(start)
        # No bound between pieces: a query may think for long, and a caller that leaves ends it.
        while piece := await connection.read():
            await request.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            await request.write(b"0\r\n\r\n")


async def read_in_time(connection: Connection, seconds: float) -> bytes:
    """Return the next piece of an answer; raise ``UpstreamError`` if none comes for so long."""
    try:
        async with asyncio.timeout(seconds):
            return await connection.read()
    except TimeoutError:
        raise UpstreamError("stalled", f"Upstream sent nothing for {seconds:g} s") from None


def answer_head(
    request: DownstreamRequest,
    status: int,
    reason: bytes,
    lines: Iterable[bytes],
    *,
    keep_alive: bool,
) -> bytes:
    """Return an answer's head for this hop (RFC 9112 section 9.3)."""
    persistence = b""
    if not keep_alive:
        persistence = b"connection: close\r\n"
    elif request.head.minor_version == 0:
        persistence = b"connection: keep-alive\r\n"
    return b"".join((b"HTTP/1.1 %d " % status, reason, b"\r\n", *lines, persistence, b"\r\n"))


def too_large(limit: int) -> str:
    """Say that a body is over the limit."""
    return f"The request's body is larger than {limit} bytes (--max-body)"


def _last_chunks(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"


def _settle(pump: asyncio.Task[None]) -> BaseException | None:
    """Stop the task that sends a body; return what it failed with."""
    if not pump.done():
        pump.cancel()
        return None
    with suppress(asyncio.CancelledError):
        return pump.exception()
    return None
