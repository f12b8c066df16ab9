"""Connections that are one too many: what becomes of their callers, and of what they say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from time import monotonic
from typing import Final, cast

from shim.http1.hop import for_hop
from shim.http1.requests import NO_HEAD, RequestFramer, RequestHead
from shim.http2.events import BrokenError, Opened
from shim.http2.framing import MOST_STREAMS, PREFACE, Framer
from shim.http2.requests import read_head
from shim.proxy.admission import use_without_room
from shim.proxy.downstream import DownstreamGoneError, Memory
from shim.proxy.incoming import Incoming
from shim.proxy.own_answers import error_answer
from shim.proxy.serving import LINGER_SECONDS, Serving

_MOST_HEARD: Final = 16
_TEXT: Final = "The shim has as many connections as it takes; try again"
_HEAD, _CONTENT = error_answer(503, _TEXT)
_ANSWER: Final = for_hop(NO_HEAD, _HEAD, persists=False).head + _CONTENT


class TurnedAway(asyncio.Protocol):
    """One such connection: its caller is told so, and leaves.

    What the caller still sends is read for a while, as far as there is room for that: a reset could
    overtake the answer (RFC 9112 section 9.6), and an old call is to be on record.  To the handler
    that records it, this is a way that leads nowhere.
    """

    open_transport: asyncio.Transport | None = None
    ending = True
    writing_paused = False

    def __init__(self, serving: Serving, peer: str) -> None:
        self.peer = peer
        self.patience = serving.patience
        self.memory = Memory()
        self._serving = serving
        self._overheard: _Overheard | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer, and leave, at once or after a while."""
        transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("sslcontext") is not None:
            # Taking leave by TLS would keep it for half a minute.
            transport.abort()
            return
        transport.write(_ANSWER)
        if self._serving.heard >= _MOST_HEARD:
            transport.close()
            return
        self._serving.heard += 1
        self._overheard = _Overheard()
        transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Have the handler record an old call."""
        if self._overheard is None:
            return
        for head in self._overheard.heads(data):
            if refused := use_without_room(head, _TEXT):
                self._serving.start(self._record(Incoming(self, refused, None)))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another one to be heard."""
        del exc
        self._serving.heard -= self._overheard is not None

    async def drain(self) -> None:
        """Wait for nothing: nothing is sent."""

    async def _record(self, incoming: Incoming) -> None:
        # There is no way back.
        with contextlib.suppress(DownstreamGoneError):
            await self._serving.handle(incoming)


class _Overheard:
    """Reads the heads of requests that nobody answers, and nothing behind them."""

    def __init__(self) -> None:
        self._framer = RequestFramer()
        self._frames: Framer | None = None
        self._left = MOST_STREAMS

    def heads(self, data: bytes) -> Iterator[RequestHead]:
        """Take bytes in, and yield the heads that they complete."""
        if self._left == MOST_STREAMS and data.startswith(PREFACE):
            self._frames = Framer()
        if self._left:
            yield from self._read(data) if self._frames is None else self._streams(data)

    def _read(self, data: bytes) -> Iterator[RequestHead]:
        self._framer.feed(data)
        head = self._framer.next_head()
        if head is not None:
            self._left = 0
            yield head

    def _streams(self, data: bytes) -> Iterator[RequestHead]:
        assert self._frames is not None
        try:
            for event in self._frames.receive(data, monotonic()):
                if isinstance(event, Opened):
                    yield read_head(event.pairs, ended=event.ended, max_body=None)
                    self._left -= 1
                    if not self._left:
                        break
        except BrokenError:
            self._left = 0
