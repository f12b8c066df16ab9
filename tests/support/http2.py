"""A raw client of HTTP/2: sends exactly the frames it is told to, keeps all that come."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support.message import Field, Fields, SilentError, values

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST = (1 << 31) - 1
# Bytes of a frame.
FRAME = 16_384


@dataclass
class Answer:
    """What came on one stream; `complete` once it has ended, `reset` is the code if it was."""

    status: int = 0
    fields: Fields = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)
    complete: bool = False
    reset: int | None = None
    informational: list[tuple[int, Fields]] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return bytes(self.content)

    @property
    def over(self) -> bool:
        return self.complete or self.reset is not None

    def values(self, name: bytes) -> list[bytes]:
        return values(self.fields, name)


class Client:
    """One connection to the shim at `url`, with the preface and SETTINGS already sent.

    Unless it `holds` its windows, it gives back what it has got.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float = 5.0,
        tls: ssl.SSLContext | None = None,
        settings: dict[int, int] | None = None,
        holds: bool = False,
        greets: bool = True,
        receive_buffer: int | None = None,
    ) -> None:
        self.deadline = deadline
        self.sock = _connect(url, deadline, tls, receive_buffer)
        self.holds = holds
        self.encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(1 << 20)
        self._decoder.max_allowed_table_size = (settings or {}).get(1, 4096)
        self._buffer = b""
        self._next = 1
        self.frames: list[Frame] = []
        self.answers: dict[int, Answer] = {}
        self.ended = False
        """Whether the connection has ended."""
        self.away: list[GoAwayFrame] = []
        if greets:
            self.send_bytes(PREFACE)
            self.send(SettingsFrame(0, settings or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    # What goes

    def send_bytes(self, data: bytes) -> None:
        self.sock.settimeout(self.deadline)
        self.sock.sendall(data)

    def send(self, *frames: Frame) -> None:
        """Send these frames, in one piece."""
        self.send_bytes(b"".join(frame.serialize() for frame in frames))

    def send_what_is_taken(self, *frames: Frame) -> None:
        """Send until the peer stops listening: it may rightly hang up."""
        with contextlib.suppress(ConnectionError):
            self.send(*frames)

    def new_stream(self) -> int:
        number, self._next = self._next, self._next + 2
        self.answers[number] = Answer()
        return number

    def head(
        self, *fields: Field, stream: int | None = None, end: bool = True
    ) -> tuple[int, HeadersFrame]:
        """The number of a new stream, and the frame that opens it with exactly these fields."""
        number = self.new_stream() if stream is None else stream
        frame = HeadersFrame(number, self.encoder.encode(list(fields)))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return number, frame

    def open(self, method: str = "GET", path: str = "/", *fields: Field, end: bool = True) -> int:
        """Open a stream with an ordinary request, all of it unless not to `end`."""
        number, frame = self.head(*ordinary(method, path), *fields, end=end)
        self.send(frame)
        return number

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body, in as many frames as it takes, whatever the window is."""
        frames = [
            DataFrame(stream, data[at : at + FRAME]) for at in range(0, max(len(data), 1), FRAME)
        ]
        if end:
            frames[-1].flags.add("END_STREAM")
        self.send(*frames)

    def ask(
        self, method: str = "GET", path: str = "/", *fields: Field, body: bytes = b""
    ) -> Answer:
        """One request, and its whole answer."""
        stream = self.open(method, path, *fields, end=not body)
        if body:
            self.data(stream, body, end=True)
        return self.answer(stream)

    def reset(self, stream: int, code: int = 8) -> None:
        self.send(RstStreamFrame(stream, code))

    def give(self, stream: int, size: int) -> None:
        """Let the peer send so many more bytes."""
        self.send(WindowUpdateFrame(stream, size))

    # What comes

    def read(self, within: float | None = None) -> Frame | None:
        """The next frame, or None at the end of the connection."""
        until = time.monotonic() + (self.deadline if within is None else within)
        while True:
            if len(self._buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
                if len(self._buffer) >= 9 + length:
                    frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
                    self._buffer = self._buffer[9 + length :]
                    self._take(frame)
                    return frame
            left = until - time.monotonic()
            if left <= 0:
                raise SilentError(f"nothing more after {self.frames[-5:]}")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(262_144)
            except TimeoutError:
                raise SilentError(f"nothing more after {self.frames[-5:]}") from None
            if not data:
                self.ended = True
                return None
            self._buffer += data

    def _take(self, frame: Frame) -> None:
        self.frames.append(frame)
        answer = self.answers.get(frame.stream_id, Answer())
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self._reply(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self._reply(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, GoAwayFrame):
            self.away.append(frame)
        elif isinstance(frame, RstStreamFrame):
            answer.reset = frame.error_code
        elif isinstance(frame, HeadersFrame):
            assert "END_HEADERS" in frame.flags, "this client takes small heads only"
            self._take_head(answer, frame)
        elif isinstance(frame, DataFrame):
            answer.content += frame.data
            if frame.data and not self.holds:
                size = len(frame.data)
                self._reply(WindowUpdateFrame(0, size), WindowUpdateFrame(frame.stream_id, size))
        if "END_STREAM" in frame.flags:
            answer.complete = True

    def _take_head(self, answer: Answer, frame: HeadersFrame) -> None:
        pairs = [
            (bytes(one[0]), bytes(one[1])) for one in self._decoder.decode(frame.data, raw=True)
        ]
        assert pairs[0][0] == b":status", pairs
        assert all(not name.startswith(b":") for name, _ in pairs[1:]), pairs
        status = int(pairs[0][1])
        if status < 200:
            answer.informational.append((status, pairs[1:]))
        else:
            assert not answer.status, "a second head"
            answer.status, answer.fields = status, pairs[1:]

    def _reply(self, *frames: Frame) -> None:
        self.send_what_is_taken(*frames)

    def answer(self, stream: int, within: float | None = None) -> Answer:
        """What came on a stream, once it is over."""
        answer = self.answers[stream]
        while not answer.over:
            if self.read(within) is None:
                raise EOFError(f"the connection ended before stream {stream}: {self.away}")
        return answer

    def until(self, kind: type[Frame], within: float | None = None) -> Frame:
        """The next frame of a kind."""
        while (frame := self.read(within)) is not None:
            if isinstance(frame, kind):
                return frame
        raise EOFError(f"the connection ended before a {kind.__name__}")

    @property
    def table_size(self) -> int:
        """How many bytes of fields the peer has told this side to remember, at the most."""
        return self._decoder.header_table_size

    def given(self, stream: int) -> int:
        """How much more than at first the peer has let this side send on a stream."""
        return sum(
            frame.window_increment
            for frame in self.frames
            if isinstance(frame, WindowUpdateFrame) and frame.stream_id == stream
        )

    def wait_for_silence(self) -> None:
        """Read until nothing more comes for a moment."""
        with contextlib.suppress(SilentError):
            while self.read(within=0.05) is not None:
                pass

    def settle(self) -> None:
        """Until the peer has read all that was sent; what it does about that may take longer."""
        ping = PingFrame(0, b"settled?")
        self.send(ping)
        while True:
            frame = self.until(PingFrame)
            if "ACK" in frame.flags and frame.opaque_data == ping.opaque_data:  # type: ignore[attr-defined]
                return

    def goodbye(self, within: float | None = None) -> GoAwayFrame:
        """The last GOAWAY, once the connection has ended."""
        with contextlib.suppress(ConnectionResetError):
            while self.read(within) is not None:
                pass
        assert self.away, "the connection ended without a word"
        return self.away[-1]


def ordinary(method: str = "GET", path: str = "/", authority: str = "admin.test:9070") -> Fields:
    """The pseudo-header fields of a request."""
    return [
        (b":method", method.encode("latin-1")),
        (b":scheme", b"http"),
        (b":authority", authority.encode("latin-1")),
        (b":path", path.encode("latin-1")),
    ]


def frames_of(data: bytes) -> list[Frame]:
    """What these bytes are."""
    frames = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        frames.append(frame)
        data = data[9 + length :]
    return frames


def _connect(
    url: str, deadline: float, tls: ssl.SSLContext | None, receive_buffer: int | None
) -> socket.socket:
    if url.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(deadline)
        sock.connect(url.removeprefix("unix:"))
        return sock
    parts = urlsplit(url)
    assert parts.hostname is not None
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(deadline)
    sock.connect((parts.hostname, parts.port or 80))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        return tls.wrap_socket(sock, server_hostname=parts.hostname)
    return sock
