"""The frames of one connection from a caller: bytes in, events out, over the state machine of h2.

h2 keeps the rules of RFC 9113.  What a server that strangers may call needs besides is here: each
frame is looked at before h2 acts upon it, what costs us more than its sender is bounded
(:class:`FloodError`), and what is wrong with a single request is no end of its connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

from shim.http1.fields import Fields
from shim.http1.section import MAX_SECTION
from shim.http2.allowance import Allowance
from shim.http2.compression import Decoder, Encoder
from shim.http2.events import BrokenError, Code, Content, Event, FloodError, Opened, Reset, Trailers

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a caller that speaks HTTP/2 begins with (RFC 9113 section 3.4)."""
MOST_STREAMS: Final = 100
"""How many streams may be open at a time (section 5.1.2)."""
MOST_IN_A_FRAME: Final = 16 * 1024
"""Bytes of one frame, in either direction: the least that may be announced (section 6.5.2)."""

_HEADER: Final = 9
_ANY_STREAM: Final = (1 << 31) - 1
# Of a header section as it comes, and in how many frames, before anybody looks at it; what is no
# larger, and larger than a head may be, is told so.
_MOST_COMPRESSED: Final = 2 * MAX_SECTION
_MOST_CONTINUATIONS: Final = 32
# h2 remembers how streams ended, for frames that come late; 65,536 of them for each connection.
_MOST_REMEMBERED: Final = 512
# What all requests of a connection may have sent that upstream has not taken: sixteen streams' own
# windows (65,535 bytes each).
_CONNECTION_WINDOW: Final = 1024 * 1024
# As nghttp2 has it (1.57): so many streams may be reset at once, and so many a second; besides, one
# for each that got its whole answer, since a gateway's connection has many callers.
_RESETS: Final = (1000, 33.0)
# Frames that move no request on.
_IDLE_FRAMES: Final = (1000, 100.0)
_SETTINGS_COST: Final = 10
# Whoever gets content gives us room for more of it, for the stream and for the connection; one that
# has little of it does so often.
_UPDATES_PER_BYTE: Final = 2 / 256


class Framer:
    """One connection's frames, in and out.  Times are in seconds, by any one clock."""

    def __init__(self) -> None:
        settings = h2.settings.SettingCodes
        announced = {
            settings.ENABLE_PUSH: 0,
            settings.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
            settings.MAX_HEADER_LIST_SIZE: MAX_SECTION,
        }
        config = h2.config.H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._decoder = Decoder()
        self._h2 = _Connection(config)
        self._h2.encoder = Encoder()
        self._h2.decoder = self._decoder
        self._h2.local_settings = h2.settings.Settings(client=False, initial_values=announced)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - 65_535)
        # To have one too many is no fault of who has not read what was announced: it is refused
        # by itself, which h2 has the connection end for.
        self._h2.local_settings = h2.settings.Settings(client=False)
        self._buffer = bytearray()
        self._greeted = False
        self._resets = Allowance(*_RESETS)
        self._idle_frames = Allowance(*_IDLE_FRAMES)
        self._block = 0
        self._continuations = 0
        self._out = bytearray()
        self._over = False
        self.head_began: float | None = None
        """Since when a header section has been on its way."""
        self.leaving = False
        """Whether the caller has said that it opens no more streams."""

    # In

    def receive(self, data: bytes, now: float) -> Iterator[Event]:
        """Take bytes in, and yield what they bring; raise :class:`BrokenError` behind that.

        Whoever gets one calls :meth:`break_off`.
        """
        self._buffer += data
        if not self._greeted:
            self._greet()
        while not self._over and (frame := self._next_frame(now)) is not None:
            yield from self._take(frame, now)

    def break_off(self, error: BrokenError) -> None:
        """Say why nothing is read any more."""
        if not self._over:
            self._over = True
            self.leave(error.code, str(error))

    def _greet(self) -> None:
        begun = self._buffer[: len(PREFACE)]
        if not PREFACE.startswith(begun):
            message = "HTTP/2 was agreed upon, and something else came"
            raise BrokenError(400, message, Code.PROTOCOL_ERROR)
        if len(begun) == len(PREFACE):
            del self._buffer[: len(PREFACE)]
            self._greeted = True
            self._h2.receive_data(PREFACE)

    def _next_frame(self, now: float) -> bytes | None:
        """Cut the next frame off what has come, if all of it has."""
        buffer = self._buffer
        if not self._greeted or len(buffer) < _HEADER:
            return None
        length = int.from_bytes(buffer[:3], "big")
        if length > MOST_IN_A_FRAME:
            message = f"A frame is larger than {MOST_IN_A_FRAME} bytes"
            raise BrokenError(400, message, Code.FRAME_SIZE_ERROR)
        if self.head_began is None and buffer[3] in (HeadersFrame.type, ContinuationFrame.type):
            self.head_began = now
        if len(buffer) < _HEADER + length:
            return None
        frame = bytes(buffer[: _HEADER + length])
        del buffer[: _HEADER + length]
        return frame

    def _take(self, frame: bytes, now: float) -> Iterator[Event]:
        kind = frame[3]
        if kind in (HeadersFrame.type, ContinuationFrame.type):
            self._count_block(frame)
        elif kind == RstStreamFrame.type:
            self._spend_reset(now)
            self._check_reset(frame)
        elif kind != DataFrame.type:
            cost = _SETTINGS_COST if kind == SettingsFrame.type else 1
            self._spend(self._idle_frames, cost, now, "frames that move no request on")
        if kind == GoAwayFrame.type:
            # To h2 it is the end of everything; RFC 9113 section 6.8 has open streams go on.
            self.leaving = True
            return
        try:
            events = self._h2.receive_data(frame)
        except h2.exceptions.ProtocolError as error:
            # h2 has said so to the caller itself.
            self._over = True
            raise BrokenError(400, str(error), error.error_code) from None
        moved = False
        for event in events:
            found = self._event(event, now)
            if found is not None:
                moved = True
                yield found
        if kind == DataFrame.type and not moved:
            self._spend(self._idle_frames, 1, now, "frames that move no request on")

    def _check_reset(self, frame: bytes) -> None:
        """Hold a reset to section 6.4, which h2 does not: there must be what it ends."""
        if int.from_bytes(frame[5:_HEADER], "big") > self._h2.highest_inbound_stream_id:
            message = "A stream was reset that has not been opened"
            raise BrokenError(400, message, Code.PROTOCOL_ERROR)

    def _count_block(self, frame: bytes) -> None:
        """Bound a header section before it is put together."""
        if frame[3] == HeadersFrame.type:
            self._block = self._continuations = 0
        else:
            self._continuations += 1
        self._block += len(frame)
        if self._block > _MOST_COMPRESSED or self._continuations > _MOST_CONTINUATIONS:
            raise FloodError("frames of one header section")
        if frame[4] & _END_HEADERS:
            self.head_began = None

    def _event(self, event: h2.events.Event, now: float) -> Event | None:
        if isinstance(event, h2.events.RequestReceived):
            return Opened(event.stream_id, self._decoder.pairs, event.stream_ended is not None)
        if isinstance(event, h2.events.DataReceived):
            padding = event.flow_controlled_length - len(event.data)
            if padding:
                self.acknowledge(event.stream_id, padding)
            ended = event.stream_ended is not None
            if not event.data and not ended:
                return None
            return Content(event.stream_id, event.data, ended)
        if isinstance(event, h2.events.TrailersReceived):
            return Trailers(event.stream_id, self._decoder.pairs)
        if isinstance(event, h2.events.StreamReset):
            if not event.remote_reset:
                # It made us do it, by a window that is too large.
                self._spend_reset(now)
            return Reset(event.stream_id)
        return None

    def _spend_reset(self, now: float) -> None:
        self._spend(self._resets, 1, now, "streams that were reset")

    @staticmethod
    def _spend(allowance: Allowance, cost: int, now: float, what: str) -> None:
        if not allowance.spend(cost, now):
            raise FloodError(what)

    # Out

    def send_head(self, stream: int, status: int, fields: Fields, *, ended: bool) -> None:
        """Send the head of an answer, interim or final."""
        pairs = [(b":status", b"%d" % status)]
        pairs += [(name, value) for name, value, _ in fields]
        if self._open(stream):
            self._h2.send_headers(stream, pairs, end_stream=ended)
            self._resets.give(ended)

    def send_data(self, stream: int, data: bytes | memoryview, *, ended: bool) -> None:
        """Send a part of a body, no larger than :meth:`room`."""
        self._idle_frames.give(len(data) * _UPDATES_PER_BYTE)
        if self._open(stream):
            self._h2.send_data(stream, data, end_stream=ended)
            self._resets.give(ended)

    def room(self, stream: int) -> int:
        """Return how many bytes the next frame of a body may have."""
        if not self._open(stream):
            return 0
        return min(self._h2.local_flow_control_window(stream), MOST_IN_A_FRAME)

    @property
    def window(self) -> int:
        """How many bytes the caller takes on all of its streams."""
        return self._h2.outbound_flow_control_window

    def acknowledge(self, stream: int, size: int) -> None:
        """Let the caller send so much more: what it sent has been taken."""
        if size and not self._over:
            self._h2.acknowledge_received_data(size, stream)

    def reset(self, stream: int, code: int) -> None:
        """End a stream before its end."""
        if self._open(stream):
            self._h2.reset_stream(stream, code)

    def refuse(self, stream: int, now: float) -> None:
        """Say that nothing was done about a stream, which may be tried again elsewhere.

        Raises :class:`BrokenError` where that has become too many.
        """
        self.reset(stream, Code.REFUSED_STREAM)
        self._spend_reset(now)

    def give_notice(self) -> None:
        """Say that the connection is about to close; what is on its way is still served."""
        self._go_away(_ANY_STREAM, Code.NO_ERROR, "")

    def leave(self, code: int = Code.NO_ERROR, why: str = "") -> None:
        """Say that no stream is taken behind those that have come."""
        self._go_away(self._h2.highest_inbound_stream_id, code, why)

    def _go_away(self, last: int, code: int, why: str) -> None:
        # By hand: h2 takes it for the end of all streams.
        frame = GoAwayFrame(0, last, code, why.encode("ascii", "replace"))
        self._out += self._h2.data_to_send()
        self._out += frame.serialize()

    def take(self) -> bytes:
        """Return what is to be sent."""
        data = self._h2.data_to_send()
        if self._out:
            data = bytes(self._out) + data
            self._out = bytearray()
        return data

    def _open(self, stream: int) -> bool:
        """Whether anything may be sent on a stream; it may have been reset meanwhile."""
        there = self._h2.streams.get(stream)
        return not self._over and there is not None and there.open


_END_HEADERS: Final = 0x4


class _Connection(h2.connection.H2Connection):
    MAX_CLOSED_STREAMS = _MOST_REMEMBERED
