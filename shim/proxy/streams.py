"""HTTP/2 on one caller's connection: each stream is one request for the handler.

The connection itself stays a :class:`~shim.proxy.front.Front`, which is counted, limited and swept
over as any other; what it reads comes here once it has turned out to be HTTP/2.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import Final, NamedTuple, Protocol

from shim.http1.bodies import Framing
from shim.http1.fields import Fields
from shim.http1.requests import TOO_SLOW_HEAD, RequestHead
from shim.http2.events import BrokenError, Code, Content, Event, FloodError, Opened, Reset, Trailers
from shim.http2.framing import MOST_STREAMS, Framer
from shim.http2.requests import read_head, trailer_problem
from shim.proxy.admission import use_without_room
from shim.proxy.downstream import DownstreamGoneError, Memory
from shim.proxy.incoming_stream import Body, IncomingStream
from shim.proxy.patience import Patience
from shim.proxy.serving import Serving

# From saying that the connection is about to close until saying which stream is the last: what is
# on its way meanwhile is served.
_NOTICE_SECONDS: Final = 0.5
# Of what waits to be sent: more is not gathered.
_MUCH: Final = 64 * 1024
_TOO_MANY_TEXT: Final = f"The connection has {MOST_STREAMS} streams open already; try again"
_TOO_LATE_TEXT: Final = "The connection is about to close; try again on another"


class Caller(Protocol):
    """A caller's connection, as far as its streams know it."""

    memory: Memory
    peer: str
    patience: Patience

    @property
    def open_transport(self) -> asyncio.Transport | None:
        """Where answers go, unless the caller has left."""

    @property
    def writing_paused(self) -> bool:
        """Whether the caller reads too slowly."""

    async def linger(self) -> None:
        """Close once the caller has had time to read what has been written."""


class _Sender(NamedTuple):
    """Who waits to send."""

    come: asyncio.Future[None]
    content: bool


class Streams:
    """One connection.  Its methods are a stream's :class:`~shim.proxy.incoming_stream.Way` too."""

    def __init__(self, serving: Serving, caller: Caller) -> None:
        self.memory = caller.memory
        self.peer = caller.peer
        self.patience = caller.patience
        self._serving = serving
        self._caller = caller
        self._framer = Framer()
        self._streams: dict[int, IncomingStream] = {}
        self._waiting: dict[int, _Sender] = {}
        self._count = 0
        self._ended = self._flushes = False
        self._unsent = 0
        self._noticed: float | None = None
        self._last_said = False
        self._since = monotonic()
        self._paused: float | None = None

    # In

    def data_received(self, data: bytes) -> None:
        """Act upon the frames in ``data``."""
        if self._ended:
            return
        now = monotonic()
        try:
            for event in self._framer.receive(data, now):
                self._take(event, now)
        except BrokenError as error:
            self._break_off(error)
            return
        self._flush()
        if self._framer.leaving:
            self._close_if_done()

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, Opened):
            self._open(event, now)
            return
        stream = self._streams.get(event.stream)
        if isinstance(event, Content):
            if stream is None:
                self._framer.acknowledge(event.stream, len(event.data))
            else:
                stream.feed(event.data, ended=event.ended)
        elif stream is None:
            # Its answer has been sent.
            return
        elif isinstance(event, Trailers):
            problem = trailer_problem(event.pairs)
            if problem is not None:
                stream.fail(problem)
            stream.feed(b"", ended=True)
        elif isinstance(event, Reset):
            self._end(stream)

    def _open(self, event: Opened, now: float) -> None:
        """Have a request handled, or refuse it."""
        serving = self._serving
        head = read_head(event.pairs, ended=event.ended, max_body=serving.max_body)
        if self._last_said or len(self._streams) >= MOST_STREAMS:
            self._framer.refuse(event.stream, now)
            # An old call is on record, though it is refused with its stream.
            why = _TOO_LATE_TEXT if self._last_said else _TOO_MANY_TEXT
            if refused := use_without_room(head, why):
                stream = self._stream(event, refused)
                stream.caller_left()
                serving.start(self._handle(stream))
            return
        stream = self._streams[event.stream] = self._stream(event, head)
        self._count += 1
        if self._count >= serving.most_requests:
            self.leave()
        serving.start(self._serve(stream))

    def _stream(self, event: Opened, head: RequestHead) -> IncomingStream:
        length = None if head.framing is Framing.CHUNKED else head.length
        body = Body(asyncio.get_running_loop(), length, self._serving.max_body)
        stream = IncomingStream(self, event.stream, head, body)
        if event.ended:
            stream.feed(b"", ended=True)
        return stream

    async def _serve(self, stream: IncomingStream) -> None:
        """Answer one request."""
        try:
            await self._handle(stream)
            if stream.gone and not stream.ended:
                self._serving.incidents.caller_left(self.peer)
        finally:
            self._finish(stream)

    async def _handle(self, stream: IncomingStream) -> None:
        # There may be no way back any more, or no more to send.
        with contextlib.suppress(DownstreamGoneError):
            await self._serving.handle(stream)

    def _finish(self, stream: IncomingStream) -> None:
        """Leave a stream whose request has been handled."""
        del self._streams[stream.number]
        stream.let_go()
        if not stream.gone:
            if not stream.ended:
                # Nobody is to take what there was for all of it.
                self._framer.reset(stream.number, Code.INTERNAL_ERROR)
            elif not stream.body_read:
                # RFC 9113 section 8.1: the rest of the body is not wanted.
                self._framer.reset(stream.number, Code.NO_ERROR)
        self._since = monotonic()
        self._flush_soon()
        self._close_if_done()

    def _end(self, stream: IncomingStream) -> None:
        stream.caller_left()
        sender = self._waiting.pop(stream.number, None)
        if sender is not None:
            _wake(sender)

    # Out

    def acknowledge(self, stream: int, size: int) -> None:
        """Let the caller send so many more bytes: they have been taken."""
        self._framer.acknowledge(stream, size)
        self._flush_soon()

    def send_head(self, stream: int, status: int, fields: Fields, *, ended: bool) -> None:
        """Send the head of an answer, interim or final."""
        self._framer.send_head(stream, status, fields, ended=ended)
        self._flush_soon()

    def send_data(self, stream: int, data: memoryview, *, ended: bool) -> memoryview | None:
        """Send of ``data`` what the caller takes now; return the rest, ``None`` if all is sent."""
        while not self.writing_paused:
            room = self._framer.room(stream)
            if room <= 0 and data:
                return data
            part, data = data[:room], data[room:]
            self._framer.send_data(stream, part, ended=ended and not data)
            self._unsent += len(part)
            if self._unsent > _MUCH:
                self._flush()
            else:
                self._flush_soon()
            if not data:
                return None
        return data

    @property
    def writing_paused(self) -> bool:
        """Whether the caller reads too slowly, whatever is sent."""
        return self._caller.writing_paused

    async def sendable(self, stream: int, *, content: bool) -> None:
        """Wait until more may be sent on a stream (its ``content``, or anything), or it is over."""
        sender = _Sender(asyncio.get_running_loop().create_future(), content)
        self._waiting[stream] = sender
        try:
            await sender.come
        finally:
            self._waiting.pop(stream, None)

    def stalled(self, stream: int) -> None:
        """Give up a stream whose caller does not take what it gets."""
        transport = self._caller.open_transport
        if self.writing_paused and transport is not None:
            transport.abort()
        else:
            self._framer.reset(stream, Code.CANCEL)
            self._flush_soon()

    def resumed(self) -> None:
        """Take note that the caller reads again."""
        self._paused = None
        self._wake_senders()

    def _wake_senders(self) -> None:
        """Let those go on who can, first come first served, as far as the connection's window."""
        if self.writing_paused:
            return
        window = self._framer.window
        for number, sender in list(self._waiting.items()):
            if sender.content:
                room = min(self._framer.room(number), window)
                if room <= 0:
                    continue
                window -= room
            _wake(sender)

    def _flush_soon(self) -> None:
        """Send what there is once all have had their say: what is for many streams is one write."""
        if not self._flushes:
            self._flushes = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushes = False
        self._unsent = 0
        data = self._framer.take()
        transport = self._caller.open_transport
        if data and transport is not None:
            transport.write(data)
        if self._waiting:
            self._wake_senders()

    # Ends

    def leave(self) -> None:
        """Say that the connection is about to close; what comes meanwhile is served."""
        if self._noticed is None:
            self._noticed = monotonic()
            self._framer.give_notice()
            self._flush_soon()

    def take_no_more(self) -> None:
        """Say which stream was the last, and close when all of them are done."""
        if not self._last_said:
            self._last_said = True
            self._framer.leave()
            self._flush()
        self._close_if_done()

    def check(self, now: float) -> None:
        """Close a connection on which the caller has been silent, or has not read, for too long."""
        serving, began = self._serving, self._framer.head_began
        transport = self._caller.open_transport
        if self._ended or transport is None:
            return
        if self.writing_paused and self._paused is None:
            self._paused = now
        if self._paused is not None and now - self._paused > self.patience.stall:
            transport.abort()
        elif began is not None and now - began > serving.head_timeout:
            self._break_off(BrokenError(408, TOO_SLOW_HEAD, Code.ENHANCE_YOUR_CALM))
        elif (self._noticed is not None and now - self._noticed > _NOTICE_SECONDS) or (
            not self._streams and now - self._since > serving.keepalive_timeout
        ):
            self.take_no_more()

    def caller_left(self) -> None:
        """End what only the caller waits for."""
        self._ended = True
        for stream in list(self._streams.values()):
            self._end(stream)

    def _break_off(self, error: BrokenError) -> None:
        """End a connection that cannot be read any further, or is not to be."""
        incidents = self._serving.incidents
        if isinstance(error, FloodError) and self._framer.head_began is None:
            incidents.refused(error, self.peer)
        else:
            incidents.unreadable(error, self.peer)
        self._framer.break_off(error)
        self._flush()
        self.caller_left()
        self._close()

    def _close_if_done(self) -> None:
        if not self._streams and not self._ended and (self._last_said or self._framer.leaving):
            self._ended = True
            self._flush()
            self._close()

    def _close(self) -> None:
        self._serving.start(self._caller.linger())


def _wake(sender: _Sender) -> None:
    if not sender.come.done():
        sender.come.set_result(None)
