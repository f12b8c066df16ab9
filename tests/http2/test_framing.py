"""Frames in, events out; the floods and the rules that end a connection are in tests/wire."""

from __future__ import annotations

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from shim.http1.fields import field
from shim.http2.events import BrokenError, Code, Content, Event, Opened, Reset, Trailers
from shim.http2.framing import MOST_IN_A_FRAME, PREFACE, Framer
from tests.support.http2 import frames_of, ordinary

START = PREFACE + SettingsFrame(0).serialize()


def head(stream: int, *, end: bool = True, trailers: bool = False) -> bytes:
    """Fields that need no table, so that any order of frames can be read."""
    pairs = [(b"x", b"y")] if trailers else ordinary()
    block = hpack.Encoder().encode([(*pair, True) for pair in pairs])
    frame = HeadersFrame(stream, block, flags=["END_HEADERS"])
    if end:
        frame.flags.add("END_STREAM")
    return frame.serialize()


def read(framer: Framer, *data: bytes) -> list[Event]:
    return [event for part in data for event in framer.receive(part, 0.0)]


def sent(framer: Framer) -> list[Frame]:
    return frames_of(framer.take())


@pytest.fixture
def framer() -> Framer:
    framer = Framer()
    assert read(framer, START) == []
    framer.take()
    return framer


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    body = DataFrame(3, b"body").serialize()
    data = START + head(1) + head(3, end=False) + body + head(3, trailers=True)
    data += RstStreamFrame(1, 8).serialize()
    events = read(Framer(), *(data[at : at + size] for at in range(0, len(data), size)))
    assert events == [
        Opened(1, ordinary(), ended=True),
        Opened(3, ordinary(), ended=False),
        Content(3, b"body", ended=False),
        Trailers(3, [(b"x", b"y")]),
        Reset(1),
    ]


def test_an_event_before_a_fault_comes_before_it(framer: Framer) -> None:
    # h2 forgets the events of a read in which something is wrong: a request was lost with them.
    events = framer.receive(head(1) + b"\x00\x00\x01\x06\x00\x00\x00\x00\x00\x00", 0.0)
    assert isinstance(next(events), Opened)
    with pytest.raises(BrokenError) as caught:
        next(events)
    assert caught.value.code == Code.FRAME_SIZE_ERROR
    framer.break_off(caught.value)
    goodbye = sent(framer)[-1]
    assert isinstance(goodbye, GoAwayFrame)
    assert (goodbye.error_code, goodbye.last_stream_id) == (Code.FRAME_SIZE_ERROR, 1)
    assert read(framer, head(3)) == []


def test_content_is_given_back_only_when_it_has_been_taken(framer: Framer) -> None:
    data = b"x" * MOST_IN_A_FRAME
    read(framer, head(1, end=False), *[DataFrame(1, data).serialize()] * 3)
    assert not [one for one in sent(framer) if isinstance(one, WindowUpdateFrame)]
    framer.acknowledge(1, 3 * len(data))
    (update,) = sent(framer)
    assert isinstance(update, WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (1, 3 * len(data))


def test_content_keeps_to_the_windows(framer: Framer) -> None:
    read(framer, head(1), head(3))
    assert (framer.room(1), framer.window) == (MOST_IN_A_FRAME, 65_535)
    framer.send_head(1, 200, [field(b"X-A", b"b")], ended=False)
    for size in (MOST_IN_A_FRAME,) * 3 + (16_383,):
        assert framer.room(1) == size
        framer.send_data(1, b"x" * size, ended=False)
    assert (framer.room(1), framer.room(3), framer.window) == (0, 0, 0)
    read(framer, WindowUpdateFrame(0, 10).serialize())
    assert (framer.room(1), framer.room(3)) == (0, 10)
    read(framer, SettingsFrame(0, {4: 1}).serialize())
    assert framer.room(1) < 0
    assert framer.room(3) == 1


def test_what_is_for_a_stream_that_is_over_is_left(framer: Framer) -> None:
    read(framer, head(1), RstStreamFrame(1, 8).serialize())
    framer.send_head(1, 200, [], ended=False)
    framer.send_data(1, b"x", ended=True)
    framer.reset(1, Code.CANCEL)
    framer.acknowledge(1, 1)
    assert sent(framer) == []
    assert framer.room(1) == 0


def test_streams_go_on_behind_goodbyes_of_either_side(framer: Framer) -> None:
    # To h2 each of them is the end.
    read(framer, head(1))
    framer.give_notice()
    framer.leave()
    said = [framer.leaving]
    assert read(framer, GoAwayFrame(0, 0, 0).serialize(), head(3)) == [
        Opened(3, ordinary(), ended=True)
    ]
    said.append(framer.leaving)
    assert said == [False, True]
    framer.send_head(1, 204, [], ended=True)
    kinds = [type(one) for one in sent(framer)]
    assert kinds == [GoAwayFrame, GoAwayFrame, HeadersFrame]


def test_a_head_on_its_way_is_known_since_when(framer: Framer) -> None:
    data = head(1)
    parts = [data[:8], data[8:12], data[12:-1], data[-1:]]
    since = []
    for now, part in enumerate(parts, 1):
        list(framer.receive(part, float(now)))
        since.append(framer.head_began)
    assert since == [None, 2.0, 2.0, None]


FRAMES = st.one_of(
    st.builds(head, st.integers(1, 9), end=st.booleans(), trailers=st.booleans()),
    st.builds(
        lambda *args: DataFrame(*args).serialize(), st.integers(1, 9), st.binary(max_size=30)
    ),
    st.builds(lambda n: RstStreamFrame(n, 8).serialize(), st.integers(1, 9)),
    st.builds(
        lambda n, size: WindowUpdateFrame(n, size).serialize(),
        st.integers(0, 9),
        st.integers(1, (1 << 31) - 1),
    ),
    st.builds(
        lambda pairs: SettingsFrame(0, pairs).serialize(),
        st.dictionaries(st.integers(1, 9), st.integers(0, (1 << 32) - 1), max_size=4),
    ),
    st.builds(lambda n: PriorityFrame(n, depends_on=1).serialize(), st.integers(1, 9)),
    st.builds(
        lambda n, data: ContinuationFrame(n, data).serialize(), st.integers(1, 9), st.binary()
    ),
    st.builds(
        lambda kind, flags, stream, data: (
            len(data).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + data
        ),
        st.integers(0, 12),
        st.integers(0, 255),
        st.integers(0, 9),
        st.binary(max_size=40),
    ),
    st.binary(max_size=40),
)


@given(st.lists(FRAMES, max_size=12), st.integers(1, 200))
def test_whatever_comes_is_read_or_ends_the_connection(frames: list[bytes], size: int) -> None:
    """No other error; and whoever answers what has come can do so."""
    framer = Framer()
    data = START + b"".join(frames)
    opened: set[int] = set()
    try:
        for at in range(0, len(data), size):
            for event in framer.receive(data[at : at + size], 0.0):
                if isinstance(event, Opened):
                    assert event.stream not in opened
                    opened.add(event.stream)
                    framer.send_head(event.stream, 200, [field(b"a", b"b")], ended=False)
                elif isinstance(event, Content):
                    assert event.stream in opened
                    framer.acknowledge(event.stream, len(event.data))
                    room = max(0, framer.room(event.stream))
                    framer.send_data(event.stream, event.data[:room], ended=False)
    except BrokenError as error:
        framer.break_off(error)
        assert isinstance(sent(framer)[-1], GoAwayFrame)
    for stream in opened:
        framer.reset(stream, Code.CANCEL)
    framer.take()
