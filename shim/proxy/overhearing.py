"""What a caller says whose connection is refused: an old call in it is to be on record."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from shim.http1.grammar import FramingError
from shim.http1.requests import RequestFramer, RequestHead
from shim.http2.framing import MOST_STREAMS, PREFACE, Framer, Opened
from shim.http2.requests import read_head


class Overhearing:
    """Reads the heads of requests that nobody answers, and nothing behind them."""

    def __init__(self) -> None:
        self._framer = RequestFramer()
        self._frames: Framer | None = None
        self._left = MOST_STREAMS

    def heads(self, data: bytes) -> Iterator[RequestHead]:
        """Take bytes in, and yield the heads that they complete."""
        if self._left == MOST_STREAMS and data.startswith(PREFACE):
            self._frames = Framer()
        if not self._left:
            return
        try:
            yield from self._read(data) if self._frames is None else self._streams(data)
        except FramingError as error:
            self._left = 0
            refused = self._framer.refused(error)
            if refused is not None:
                yield refused

    def _read(self, data: bytes) -> Iterator[RequestHead]:
        self._framer.feed(data)
        head = self._framer.next_head()
        if head is not None:
            self._left = 0
            yield head

    def _streams(self, data: bytes) -> Iterator[RequestHead]:
        assert self._frames is not None
        for event in self._frames.receive(data, monotonic()):
            if isinstance(event, Opened):
                yield read_head(event.pairs, ended=event.ended, max_body=None)
                self._left -= 1
                if not self._left:
                    break
