"""What a caller over HTTP/2 may ask for, how long it may take, and how its connection ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support import http2
from tests.support.client import Client, ask, request, timed
from tests.support.http2 import LARGEST, ordinary
from tests.support.metrics import of, samples
from tests.support.origin import Connection, Origin, Received, answer, hang, reply
from tests.support.running import Shim
from tests.support.waiting import wait_until

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR = 1, 3, 6, 9
NO_ERROR, REFUSED_STREAM, CANCEL, CALM = 0, 7, 8, 11


class Gate:
    """A script that answers once it is open."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, connection: Connection, received: Received) -> None:
        assert self.open.wait(10)
        connection.send(answer(200, received.target))


def sample(shim: Shim, name: str, **labels: str) -> float | None:
    text = ask(shim.ops, request("GET", "/metrics")).body.decode()
    return of(samples(text), name, **labels)


@pytest.fixture
def caller(shim: Shim, origin: Origin) -> Iterator[http2.Client]:
    with http2.Client(shim.proxy) as caller:
        yield caller


def the_shim_is_well(shim: Shim, origin: Origin) -> None:
    """Others are served, and nothing of the caller's is left."""
    origin.script = reply(answer(200, b"well"))
    with http2.Client(shim.proxy) as caller:
        assert caller.ask().body == b"well"
    assert ask(shim.proxy, request()).body == b"well"
    wait_until(lambda: sample(shim, "connections") == 0)
    wait_until(lambda: sample(shim, "upstream_connections", state="busy") in (0, None))


# What is announced


def test_the_limits_are_announced(caller: http2.Client) -> None:
    settings = caller.until(SettingsFrame).settings  # type: ignore[attr-defined]
    assert (settings[3], settings[6], settings[2]) == (100, 65_536, 0)


def test_a_stream_too_many_is_refused_and_may_be_tried_again(
    caller: http2.Client, origin: Origin
) -> None:
    """Whoever sends before it has read the limit is at no fault: the connection goes on."""
    gate = Gate()
    origin.script = gate
    streams = [caller.open("GET", f"/{number}") for number in range(103)]
    for late in streams[100:]:
        assert caller.answer(late).reset == REFUSED_STREAM
    gate.open.set()
    assert [caller.answer(stream).status for stream in streams[:100]] == [200] * 100
    assert caller.ask("GET", "/again").status == 200
    assert len(origin.requests) == 101


def test_streams_that_were_reset_make_no_room_while_their_calls_go_on(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # CVE-2023-44487: what is reset does not count for h2, and what it began goes on.
    gate = Gate()
    own_origin.script = gate
    shim = start(upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        for number in range(100):
            stream = caller.open("DELETE", f"/invocations/inv_{number}")
            caller.reset(stream)
        late = caller.open("DELETE", "/invocations/inv_late")
        assert caller.answer(late).reset == REFUSED_STREAM
        use = shim.use("inv_late")
        assert (use["decision"], use["status"]) == ("invalid", 503)
        gate.open.set()
        wait_until(lambda: len(shim.uses) == 101)
    assert len(own_origin.requests) == 100


def test_streams_share_what_upstream_may_have_at_a_time(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """`--max-upstream-connections`, `--max-waiting`: one connection of a caller's is bound too."""
    gate = Gate()
    own_origin.script = gate
    shim = start(
        *("--max-upstream-connections", "2", "--max-waiting", "3"), upstream=own_origin.url
    )
    with http2.Client(shim.proxy) as caller:
        streams = [caller.open("GET", f"/{number}") for number in range(10)]
        refused = [caller.answer(stream).status for stream in streams[5:]]
        assert refused == [503] * 5
        gate.open.set()
        assert [caller.answer(stream).status for stream in streams[:5]] == [200] * 5
        assert sample(shim, "connections") == 1


def test_a_connection_over_http_2_counts_once(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--max-connections", "1", upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        assert [caller.ask().status for _ in range(3)] == [200] * 3
        with Client(shim.proxy) as client:
            assert client.read().status == 503
    wait_until(lambda: sample(shim, "connections") == 0)
    assert ask(shim.proxy, request()).status == 200


def test_an_old_call_over_http_2_is_on_record_where_its_connection_was_refused(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--max-connections", "1", upstream=own_origin.url)
    with Client(shim.proxy) as held:
        assert held.ask(request()).status == 200
        with http2.Client(shim.proxy, greets=False) as caller:
            number, frame = caller.head(
                *ordinary("DELETE", "/invocations/inv_1?mode=kill"), (b"user-agent", b"old/1")
            )
            del number
            settings = SettingsFrame(0).serialize()
            caller.send_bytes(http2.PREFACE + settings + frame.serialize())
            use = shim.use("inv_1")
    assert (use["decision"], use["status"], use["caller"]) == ("invalid", 503, "old/1")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_connection_has_its_share_of_requests(
    method: str, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """`--max-requests-per-connection`: the caller is told, and what is under way is finished."""
    gate = Gate()
    own_origin.script = gate
    shim = start("--max-requests-per-connection", "3", upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        streams = [caller.open(method, f"/invocations/inv_{number}") for number in range(3)]
        notice = caller.until(GoAwayFrame)
        assert (notice.last_stream_id, notice.error_code) == (LARGEST, NO_ERROR)  # type: ignore[attr-defined]
        last = caller.until(GoAwayFrame)
        assert (last.last_stream_id, last.error_code) == (streams[-1], NO_ERROR)  # type: ignore[attr-defined]
        late = caller.open(method, "/invocations/inv_late")
        assert caller.answer(late).reset == REFUSED_STREAM
        gate.open.set()
        for stream in streams:
            assert caller.answer(stream).status in (200, 202)
        assert caller.read() is None
    assert len(own_origin.requests) == 3


# How long it may take


def impatient(start: Callable[..., Shim], origin: Origin, **more: str) -> Shim:
    seconds = {"head": "30s", "body": "30s", "client": "30s", "keepalive": "30s", **more}
    flags = [word for name, value in seconds.items() for word in (f"--{name}-timeout", value)]
    return start(*flags, upstream=origin.url)


def test_an_idle_connection_ends_with_a_goodbye(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """However many pings come on it."""
    shim = impatient(start, own_origin, keepalive="500ms")
    with http2.Client(shim.proxy) as caller:
        assert caller.ask().status == 200
        while not caller.ended and not caller.away:
            caller.wait_for_silence()
            caller.send_what_is_taken(PingFrame(0, b"are you?"))
        goodbye = caller.goodbye()
        assert (goodbye.error_code, goodbye.last_stream_id) == (NO_ERROR, 1)
    with http2.Client(shim.proxy) as caller:
        assert caller.goodbye().last_stream_id == 0


def test_a_long_answer_is_no_idle_time(own_origin: Origin, start: Callable[..., Shim]) -> None:
    gate = Gate()
    own_origin.script = gate
    shim = impatient(start, own_origin, keepalive="300ms")
    with http2.Client(shim.proxy) as caller, http2.Client(shim.proxy) as idle:
        stream = caller.open()
        assert idle.goodbye().error_code == NO_ERROR
        gate.open.set()
        assert caller.answer(stream).status == 200


@pytest.mark.parametrize(
    "cut", [9, 12, None], ids=["behind its frame's head", "inside it", "before its continuation"]
)
def test_a_head_that_does_not_come_in_time_ends_its_connection(
    cut: int | None, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = impatient(start, own_origin, head="500ms")
    with http2.Client(shim.proxy) as caller:
        assert caller.ask().status == 200
        _, frame = caller.head(*ordinary("DELETE", "/invocations/inv_1"))
        if cut is None:
            frame.flags.discard("END_HEADERS")
        caller.send_bytes(frame.serialize()[:cut])
        assert caller.goodbye().error_code == CALM
    refused = shim.event("request_refused")
    assert (refused["status"], refused["unreadable"]) == (408, True)


def test_half_a_preface_is_a_head_that_does_not_come_in_time(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = impatient(start, own_origin, head="500ms")
    with Client(shim.proxy) as client:
        client.send(http2.PREFACE[:20])
        assert client.read().status == 408
        assert client.closed()
        # Each sweep counted it once more, for as long as the caller stayed.
        wait_until(lambda: sample(shim, "connections") == 0)
    refused = {"route": "unreadable", "method": "other", "code": "408"}
    assert sample(shim, "requests_total", **refused) == 1


def test_a_body_that_stalls_is_refused_and_others_go_on(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = impatient(start, own_origin, client="500ms")
    with http2.Client(shim.proxy) as caller:
        stream = caller.open("POST", "/", (b"content-length", b"10"), end=False)
        caller.data(stream, b"five.")
        got = caller.answer(stream)
        assert got.status == 408
        assert caller.ask().status == 200
        stream = caller.open("DELETE", "/invocations/inv_1", end=False)
        assert caller.answer(stream).status == 408
    assert shim.use("inv_1")["decision"] == "invalid"


@pytest.mark.parametrize("said", [True, False], ids=["with its length", "without"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_body_over_the_limit_is_refused_and_others_go_on(
    method: str, said: bool, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """`--max-body`; what is left of it is not wanted."""
    shim = start("--max-body", "1000", upstream=own_origin.url)
    length = ((b"content-length", b"50000"),) if said else ()
    with http2.Client(shim.proxy) as caller:
        stream = caller.open(method, "/invocations/inv_1", *length, end=False)
        caller.data(stream, b"x" * 20_000)
        got = caller.answer(stream)
        assert (got.status, got.values(b"content-type")) == (413, [b"application/json"])
        while got.reset is None:
            caller.read()
        assert got.reset == NO_ERROR
        assert caller.ask().status == 200
    assert not [one for one in own_origin.requests if one.complete and one.target != b"/"]
    if method == "DELETE":
        assert (shim.use("inv_1")["decision"], shim.use("inv_1")["status"]) == ("invalid", 413)


@pytest.mark.parametrize("window", [0, 1000])
def test_a_caller_that_gives_no_window_is_given_up(
    window: int, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """`--client-timeout`: its stream ends, and upstream's exchange; the connection goes on."""
    shim = impatient(start, own_origin, client="500ms")

    def script(connection: Connection, received: Received) -> None:
        size = 50_000_000 if received.target == b"/much" else 0
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        with contextlib.suppress(OSError):
            for _ in range(size // 1_000_000):
                connection.send(b"x" * 1_000_000)

    own_origin.script = script
    with http2.Client(shim.proxy, settings={4: window}, holds=True) as caller:
        got = caller.answer(caller.open("GET", "/much"))
        assert (got.status, len(got.body), got.reset) == (200, window, CANCEL)
        assert caller.ask("GET", "/none").status == 200
    assert own_origin.connections[0].gone.wait(5)
    assert shim.event("caller_left")


def test_a_window_in_crumbs_is_no_way_to_hold_an_answer(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # Each byte would start the time anew.
    own_origin.script = reply(answer(200, b"x" * 100_000))
    shim = impatient(start, own_origin, client="500ms")
    with http2.Client(shim.proxy, settings={4: 1}, holds=True) as caller:
        stream = caller.open()
        with timed(5):
            while not caller.answers[stream].over:
                caller.wait_for_silence()
                caller.send_what_is_taken(WindowUpdateFrame(stream, 1))
        assert caller.answers[stream].reset == CANCEL


def test_a_caller_that_reads_nothing_is_cut_off(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """Its windows are as large as can be, and full is what lies between."""
    own_origin.script = lambda connection, _: _send_for_ever(connection)
    shim = impatient(start, own_origin, client="500ms")
    with http2.Client(shim.proxy, settings={4: LARGEST}, receive_buffer=4096) as caller:
        caller.give(0, LARGEST - 65_535)
        caller.open()
        own_origin.wait()
        wait_until(lambda: sample(shim, "connections") == 0)
    assert own_origin.connections[0].gone.wait(5)


def _send_for_ever(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


# Floods


def resets(caller: http2.Client, count: int) -> bytes:
    """Requests that are taken back at once (CVE-2023-44487)."""
    frames: list[Frame] = []
    for _ in range(count):
        number, head = caller.head(*ordinary("GET", "/flood"))
        frames += [head, RstStreamFrame(number, CANCEL)]
    return b"".join(frame.serialize() for frame in frames)


def provoked(caller: http2.Client, count: int) -> bytes:
    """Requests that the server has to reset itself (CVE-2025-8671)."""
    frames: list[Frame] = []
    for _ in range(count):
        number, head = caller.head(*ordinary("POST", "/flood"), end=False)
        frames += [head, WindowUpdateFrame(number, LARGEST)]
    return b"".join(frame.serialize() for frame in frames)


def continuations(caller: http2.Client, count: int) -> bytes:
    """A header section that never ends (CVE-2024-27316)."""
    number, head = caller.head(*ordinary("GET", "/flood"))
    head.flags.discard("END_HEADERS")
    piece = ContinuationFrame(number, b"\x00\x01a\x01b" * 100)
    return head.serialize() + piece.serialize() * count


def empty_continuations(caller: http2.Client, count: int) -> bytes:
    number, head = caller.head(*ordinary("GET", "/flood"))
    head.flags.discard("END_HEADERS")
    return head.serialize() + ContinuationFrame(number, b"").serialize() * count


def empty_data(caller: http2.Client, count: int) -> bytes:
    """Frames that hold nothing (CVE-2019-9518)."""
    number, head = caller.head(*ordinary("POST", "/flood"), end=False)
    return head.serialize() + DataFrame(number, b"").serialize() * count


def only_padding(caller: http2.Client, count: int) -> bytes:
    number, head = caller.head(*ordinary("POST", "/flood"), end=False)
    padding = DataFrame(number, b"", pad_length=1, flags=["PADDED"])
    return head.serialize() + padding.serialize() * count


def data_for_nobody(caller: http2.Client, count: int) -> bytes:
    number, head = caller.head(*ordinary("POST", "/flood"), end=False)
    reset = RstStreamFrame(number, CANCEL)
    frame = DataFrame(number, b"x").serialize()
    return head.serialize() + reset.serialize() + frame * count


def the_same(frame: Frame) -> Callable[[http2.Client, int], bytes]:
    def flood(caller: http2.Client, count: int) -> bytes:
        number, head = caller.head(*ordinary("POST", "/flood"), end=False)
        del number
        return head.serialize() + frame.serialize() * count

    return flood


FLOODS: dict[str, Callable[[http2.Client, int], bytes]] = {
    "rapid resets": resets,
    "resets that are provoked": provoked,
    "continuations": continuations,
    "empty continuations": empty_continuations,
    "empty content": empty_data,
    "only padding": only_padding,
    "content for nobody": data_for_nobody,
    "pings": the_same(PingFrame(0, b"12345678")),
    "answers to pings": the_same(PingFrame(0, b"12345678", flags=["ACK"])),
    "settings": the_same(SettingsFrame(0, {4: 65_535})),
    "settings that change all": the_same(SettingsFrame(0, {1: 0, 4: 1, 5: 16_384, 6: 1})),
    "answers to settings": the_same(SettingsFrame(0, flags=["ACK"])),
    "priorities": the_same(PriorityFrame(1, depends_on=0, stream_weight=3)),
    "priorities of idle streams": the_same(PriorityFrame(99_999, depends_on=1)),
    "windows in crumbs": the_same(WindowUpdateFrame(0, 1)),
    "windows of a stream": the_same(WindowUpdateFrame(1, 1)),
    "resets of the same": the_same(RstStreamFrame(1, CANCEL)),
    "goodbyes": the_same(GoAwayFrame(0, 0, 0)),
    "unknown frames": the_same(ExtensionFrame(0xBE, 0, 0, b"")),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_ends_its_connection_and_nothing_else(
    flood: Callable[[http2.Client, int], bytes], shim: Shim, origin: Origin
) -> None:
    """GOAWAY with ENHANCE_YOUR_CALM, however much of it comes at once."""
    with http2.Client(shim.proxy, deadline=10) as caller:
        data = flood(caller, 20_000)
        with timed(8):
            with contextlib.suppress(ConnectionError):
                caller.send_bytes(data)
            goodbye = caller.goodbye()
    assert goodbye.error_code == CALM
    assert goodbye.additional_data
    assert len(origin.requests) <= 1100
    assert not any(one.target == b"/flood" and one.complete for one in origin.requests[1100:])
    the_shim_is_well(shim, origin)


def test_a_gateway_may_take_back_as_many_as_it_lets_finish(shim: Shim, origin: Origin) -> None:
    # Its connection was ended for what some of its callers did, and the others' calls with it.
    with http2.Client(shim.proxy) as caller:
        for _ in range(1500):
            caller.reset(caller.open("GET", "/left"))
            assert caller.ask("GET", "/stayed").status == 200
    assert not caller.away


def test_what_clients_do_in_a_long_time_is_no_flood(shim: Shim, origin: Origin) -> None:
    """Windows given back for each frame, and a ping and a reset now and then."""
    origin.script = reply(answer(200, b"x" * 100_000))
    with http2.Client(shim.proxy) as caller:
        for turn in range(400):
            assert len(caller.ask().body) == 100_000
            if turn % 5 == 0:
                caller.settle()
                caller.reset(caller.open())
    assert not caller.away


# What is against the rules


def bad_start(*data: bytes) -> Callable[[http2.Client], bytes]:
    return lambda _: b"".join(data)


def header(length: int, kind: int, flags: int, stream: int) -> bytes:
    head = length.to_bytes(3, "big") + bytes((kind, flags))
    return head + stream.to_bytes(4, "big") + b"\x00" * min(length, 100)


BROKEN: dict[str, tuple[bytes, int]] = {
    "a frame that is too large": (header(16_385, 0, 0, 1), FRAME_SIZE_ERROR),
    "a frame of the largest size": (header(0xFFFFFF, 0xEE, 0, 0), FRAME_SIZE_ERROR),
    "content on stream 0": (header(1, 0, 0, 0), PROTOCOL_ERROR),
    "content on an idle stream": (header(1, 0, 0, 7), PROTOCOL_ERROR),
    "a head on stream 0": (header(1, 1, 4, 0), PROTOCOL_ERROR),
    "a head on an even stream": (header(0, 1, 5, 2), PROTOCOL_ERROR),
    "a head that cannot be decompressed": (
        b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\xff",
        PROTOCOL_ERROR,
    ),
    "a table that is resized three times": (
        b"\x00\x00\x06\x01\x05\x00\x00\x00\x03\x20\x3f\xe1\x1f\x20\x82",
        PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (header(0, 9, 4, 1), PROTOCOL_ERROR),
    "a ping of seven bytes": (header(7, 6, 0, 0), FRAME_SIZE_ERROR),
    "settings of five bytes": (header(5, 4, 0, 0), FRAME_SIZE_ERROR),
    "a window of nothing": (header(4, 8, 0, 0), PROTOCOL_ERROR),
    "a promise": (PushPromiseFrame(1, 2, flags=["END_HEADERS"]).serialize(), PROTOCOL_ERROR),
    "a reset of an idle stream": (header(4, 3, 0, 9), PROTOCOL_ERROR),
    "too much window": (WindowUpdateFrame(0, LARGEST).serialize(), FLOW_CONTROL_ERROR),
    "a setting that cannot be": (SettingsFrame(0, {4: 1 << 31}).serialize(), FLOW_CONTROL_ERROR),
    "a frame size that cannot be": (SettingsFrame(0, {5: 1}).serialize(), PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_rules_ends_its_connection(
    data: bytes, code: int, own_shim: Shim, own_origin: Origin
) -> None:
    """With the reason as RFC 9113 names it, one that its log tells, and an unread request."""
    with http2.Client(own_shim.proxy) as caller:
        assert caller.ask().status == 200
        caller.send_bytes(data)
        goodbye = caller.goodbye()
    assert goodbye.error_code in (code, COMPRESSION_ERROR)
    assert len(own_origin.requests) == 1


@pytest.fixture
def own_shim(own_origin: Origin, start: Callable[..., Shim]) -> Shim:
    return start(upstream=own_origin.url)


def test_what_came_before_a_broken_frame_counts(own_shim: Shim, own_origin: Origin) -> None:
    # h2 forgets the events of a read in which something is wrong: the old call was lost.
    with http2.Client(own_shim.proxy) as caller:
        _, frame = caller.head(*ordinary("DELETE", "/invocations/inv_1?mode=kill"))
        caller.send_bytes(frame.serialize() + header(7, 6, 0, 0))
        assert caller.goodbye().error_code == FRAME_SIZE_ERROR
    assert own_shim.use("inv_1")["decision"] == "translated"
    assert own_shim.event("request_refused")["unreadable"]


def test_a_header_section_that_explodes_ends_its_connection(
    own_shim: Shim, own_origin: Origin
) -> None:
    """An HPACK bomb (CVE-2016-6581): one large field, and a byte for each time it is there."""
    with http2.Client(own_shim.proxy) as caller:
        _, frame = caller.head(*ordinary(), (b"a", b"x" * 4000))
        frame.data += b"\xbe" * 10_000
        caller.send(frame)
        assert caller.goodbye().error_code == CALM
    assert own_shim.event("request_refused")["unreadable"]
    assert not own_origin.requests


def test_a_window_that_is_too_large_ends_its_stream(caller: http2.Client, origin: Origin) -> None:
    origin.script = hang
    stream = caller.open()
    connection = origin.wait()
    caller.give(stream, LARGEST)
    assert caller.answer(stream).reset == FLOW_CONTROL_ERROR
    assert connection.gone.wait(5)
    origin.script = reply(answer(200))
    assert caller.ask().status == 200


def test_more_than_the_window_ends_the_connection(caller: http2.Client, origin: Origin) -> None:
    origin.script = hang
    stream = caller.open("POST", "/", end=False)
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            caller.data(stream, b"x" * 1_000_000)
    assert caller.goodbye().error_code == FLOW_CONTROL_ERROR


def test_a_large_table_of_the_caller_s_is_not_filled(shim: Shim, origin: Origin) -> None:
    """What it would remember costs us memory too."""
    with http2.Client(shim.proxy, settings={1: 1 << 30}) as caller:
        for number in range(20):
            origin.script = reply(answer(200, b"", b"X-Much: %d%b" % (number, b"x" * 3000)))
            assert caller.ask().status == 200
        assert caller.table_size <= 4096


# The end of the shim


def test_draining_says_goodbye_and_finishes_what_is_in_flight(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    gate = Gate()
    own_origin.script = gate
    shim = start(upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        one = caller.open("GET", "/one")
        old = caller.open("DELETE", "/invocations/inv_draining")
        own_origin.wait(count=2)
        shim.terminate()
        notice: Any = caller.until(GoAwayFrame)
        assert (notice.last_stream_id, notice.error_code) == (LARGEST, NO_ERROR)
        crossing = caller.open("GET", "/crossing")
        last: Any = caller.until(GoAwayFrame)
        assert (last.last_stream_id, last.error_code) == (crossing, NO_ERROR)
        late = caller.open("GET", "/late")
        assert caller.answer(late).reset == REFUSED_STREAM
        gate.open.set()
        assert caller.answer(one).body == b"/one"
        assert caller.answer(crossing).body == b"/crossing"
        assert caller.answer(old).status == 202
        assert caller.read() is None
    assert shim.wait(3) == 0
    assert shim.use("inv_draining")["decision"] == "translated"
    assert {got.target for got in own_origin.requests} == {
        b"/one",
        b"/crossing",
        b"/invocations/inv_draining/cancel",
    }


def test_an_idle_caller_does_not_hold_up_the_end(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start(upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        assert caller.ask().status == 200
        shim.terminate()
        goodbye = caller.goodbye()
        assert (goodbye.error_code, goodbye.last_stream_id) == (NO_ERROR, 1)
    assert shim.wait(3) == 0


def test_grace_has_an_end(own_origin: Origin, start: Callable[..., Shim]) -> None:
    """What does not finish is cut, and an old call is on record as failed."""
    own_origin.script = hang
    shim = start("--shutdown-grace", "300ms", upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        stream = caller.open("GET", "/slow")
        caller.open("DELETE", "/invocations/inv_cut")
        own_origin.wait(count=2)
        with timed(4):
            shim.terminate()
            caller.goodbye()
            assert shim.wait(4) == 0
        assert not caller.answers[stream].complete
    assert shim.use("inv_cut")["decision"] == "failed"


def test_an_old_call_is_finished_though_its_caller_is_not_there_any_more(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    gate = Gate()
    own_origin.script = gate
    shim = start(upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        caller.open("DELETE", "/invocations/inv_gone")
        own_origin.wait()
    wait_until(lambda: sample(shim, "connections") == 0)
    shim.terminate()
    shim.event("draining")
    gate.open.set()
    assert shim.wait(5) == 0
    assert shim.use("inv_gone")["decision"] == "translated"
