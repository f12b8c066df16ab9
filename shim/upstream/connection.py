"""One connection to upstream, and one exchange at a time on it.

``httptools`` (llhttp in its strict mode) parses the answers.  An answer that is complete with its
head is kept as the bytes it came in, so that it can be relayed without being built again; any
other is read piece by piece, with reading paused while the downstream side is slow.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final

import httptools

from shim.upstream.errors import (
    Answer,
    ClosedBeforeAnswerError,
    UpstreamError,
    UpstreamTimeoutError,
    relayable,
)

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
MAX_ANSWER_HEAD: Final = 256 * 1024
_HIGH_WATER: Final = 256 * 1024
_LOW_WATER: Final = 64 * 1024


class Connection(asyncio.Protocol):
    """One connection to upstream and the exchange under way on it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_idle_end: Callable[[Connection], None]
    ) -> None:
        self._loop = loop
        self._on_idle_end = on_idle_end
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._on_informational: Callable[[int, bytes, list[tuple[bytes, bytes]]], None] | None
        self._on_informational = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._write_paused = False
        self.closed = False
        self.in_exchange = False
        self.used = False
        self.idle_since = 0.0
        self._begin(head_only=False)

    def _begin(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._answer: Answer | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._reason = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._received = 0
        self._reads = 0
        self._message_complete = False
        self._keep_alive = False
        self._stray = False
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._body_bytes = 0
        self._reading_paused = False
        self._piece_waiter: asyncio.Future[None] | None = None
        self._failure: UpstreamError | None = None

    # The exchange

    def send(
        self,
        head: bytes,
        *,
        head_only: bool,
        timeout: float | None,
        on_informational: Callable[[int, bytes, list[tuple[bytes, bytes]]], None] | None = None,
    ) -> asyncio.Future[Answer]:
        """Send a request's ``head`` and return the future of its answer's head.

        ``head_only`` says that the answer has no body whatever its fields say (RFC 9110 section
        9.3.2).  ``timeout`` is in seconds; ``None`` leaves it to :meth:`start_timer`.
        """
        self._begin(head_only=head_only)
        self.in_exchange = True
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._on_informational = on_informational
        answered = self._answered = self._loop.create_future()
        if timeout is not None:
            self.start_timer(timeout)
        if self._transport is None or self.closed:
            self._fail(ClosedBeforeAnswerError("closed", "Upstream closed the connection"))
        else:
            self._transport.write(head)
        return answered

    def write(self, data: bytes) -> None:
        """Send a part of the request's body."""
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until upstream has read enough of the body; return at once when it is gone."""
        if self._write_paused and not self.closed:
            self._write_waiter = self._loop.create_future()
            await self._write_waiter

    def start_timer(self, timeout: float) -> None:
        """Give upstream ``timeout`` seconds from now to begin its answer."""
        if self._answered is not None:
            self._timer = self._loop.call_later(timeout, self._timed_out, timeout)

    async def read(self) -> bytes:
        """Return the next piece of the answer's body, ``b""`` at its end.

        Raises :class:`UpstreamError` when the answer breaks off.
        """
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._message_complete:
                return b""
            self._piece_waiter = self._loop.create_future()
            await self._piece_waiter
        pieces, self._pieces = self._pieces, deque()
        self._buffered = 0
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def abort(self, failure: UpstreamError | None = None) -> None:
        """Close the connection now and end its exchange."""
        self._fail(failure or UpstreamError("aborted", "The exchange was given up"))

    @property
    def reusable(self) -> bool:
        """Whether the exchange ended so that another may follow on this connection."""
        return (
            self._message_complete
            and not self._stray
            and not self.closed
            and not self._reading_paused
            and self._failure is None
            and self._keep_alive
        )

    def end_exchange(self) -> None:
        """Make the connection ready for the next exchange."""
        self.in_exchange = False
        self.used = True
        self._on_informational = None
        if self._head_only:
            # The parser still waits for a body that will not come.
            self._parser = None
        self._answer = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.in_exchange:
            self._on_idle_end(self)
            return
        answer = self._answer
        if (
            exc is None
            and answer is not None
            and not self._message_complete
            and not (answer.content_length or answer.chunked)
        ):
            # RFC 9112 section 6.3, rule 8: such a body ends where the connection does.
            self._message_complete = True
            self._stray = True
            self._wake_reader()
        elif not self._message_complete:
            if self._received:
                failure = UpstreamError("truncated", "Upstream broke off its answer")
            else:
                failure = ClosedBeforeAnswerError("closed", "Upstream closed before it answered")
            self._fail(failure)
        self._wake_writer()

    def eof_received(self) -> None:
        """Let the transport close: an answer's end is found out in ``connection_lost``."""

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._wake_writer()

    def data_received(self, data: bytes) -> None:
        if not self.in_exchange or self._message_complete or self._failure is not None:
            # What nobody asked for desynchronises whoever asks next.
            self._stray = True
            self._close()
            return
        self._received += len(data)
        self._reads += 1
        before = self._body_bytes
        if not self._parse(data):
            return
        answer = self._answer
        if answer is None:
            if self._received > MAX_ANSWER_HEAD:
                self._fail(UpstreamError("bad_answer", "Upstream's answer has too large a head"))
            return
        if self._head_only:
            self._message_complete = True
        if self._message_complete and not self._ends_with(data, answer, self._body_bytes - before):
            # The parser skips line ends behind an answer; downstream must not see them.
            self._stray = True
        if self._answered is None:
            self._wake_reader()
        else:
            self._deliver(answer, data)
        if self._buffered > _HIGH_WATER and not self._reading_paused and self._transport:
            self._reading_paused = True
            self._transport.pause_reading()

    def _parse(self, data: bytes) -> bool:
        """Feed the parser; return whether the exchange goes on."""
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(UpstreamError("bad_answer", "Upstream switched protocols by itself"))
            return False
        except httptools.HttpParserError as error:
            if self._message_complete or (self._head_only and self._answer is not None):
                # The answer was whole; what follows it is no answer.
                self._stray = True
                return True
            message = f"Upstream's answer is not HTTP/1.1: {error}"
            self._fail(UpstreamError("bad_answer", message))
            return False
        return True

    def _deliver(self, answer: Answer, data: bytes) -> None:
        """Hand the answer's head to who waits for it, with its body if that is here."""
        waiting, self._answered = self._answered, None
        self._stop_timer()
        if self._message_complete:
            answer.complete = True
            answer.body = b"".join(self._pieces)
            if self._reads == 1 and not self._stray and relayable(answer, data):
                answer.raw = data
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _ends_with(self, data: bytes, answer: Answer, body_bytes: int) -> bool:
        """Whether ``data``, of which ``body_bytes`` are body, ends where the answer does."""
        if answer.chunked and not self._head_only:
            return data.endswith(b"0\r\n\r\n")
        head_end = data.find(b"\r\n\r\n") + 4 if self._received == len(data) else 0
        if not head_end and not body_bytes:
            return data.endswith(b"\r\n\r\n")
        return head_end + body_bytes == len(data)

    # httptools

    def on_message_begin(self) -> None:
        if self._message_complete:
            self._stray = True

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, after the head is complete: they are dropped.
        if self._answer is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._message_complete:
            return
        parser = self._parser
        status = parser.get_status_code() if parser is not None else 0
        if status < 100 or _CONTROL.search(self._reason):
            raise ValueError("a status line that is none")
        if status < 200:
            return
        content_length = chunked = False
        for name, value in self._headers:
            lowered = name.lower()
            if lowered == b"content-length":
                content_length = True
            elif lowered == b"transfer-encoding":
                if chunked or value.lower() != b"chunked":
                    raise ValueError("a transfer coding other than chunked, once")
                chunked = True
        self._answer = Answer(status, self._reason, self._headers, content_length, chunked)
        if self._head_only and parser is not None:
            self._keep_alive = parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if self._message_complete or self._head_only:
            self._stray = True
            return
        self._pieces.append(body)
        self._buffered += len(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        parser = self._parser
        if self._answer is None and parser is not None:
            # RFC 9110 section 15.2: an interim answer; the final one is still to come.
            status = parser.get_status_code()
            if self._on_informational is not None and status != 101:
                self._on_informational(status, self._reason, self._headers)
            self._reason = b""
            self._headers = []
            # What came with it is more than the final answer: not to be relayed as it is.
            self._reads = 2
            return
        self._message_complete = True
        if not self._head_only and parser is not None:
            # The parser forgets what the message said as soon as this returns.
            self._keep_alive = parser.should_keep_alive()

    # Ends

    def _timed_out(self, timeout: float) -> None:
        message = f"Upstream did not begin its answer within {timeout:g} s"
        self._fail(UpstreamTimeoutError("timeout", message))

    def _fail(self, failure: UpstreamError) -> None:
        if self._failure is None:
            self._failure = failure
        self._stop_timer()
        waiting, self._answered = self._answered, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(self._failure)
        self._wake_reader()
        self._close()
        self._wake_writer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _wake_reader(self) -> None:
        waiter, self._piece_waiter = self._piece_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _wake_writer(self) -> None:
        waiter, self._write_waiter = self._write_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
