"""At the edges of the relay lane: a side that leaves, the end of the shim, what is too large."""

from __future__ import annotations

import asyncio

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, SettingsFrame

from shim.http2.framing import PREFACE
from shim.proxy.front import Turn
from tests.http2.test_framing import head
from tests.proxy.agreement import Lanes, until
from tests.support.http2 import LARGEST, frames_of

REQUEST = b"GET /services HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def lanes() -> Lanes:
    return Lanes(asyncio.get_running_loop())


async def test_an_answer_for_a_caller_who_has_just_left_goes_nowhere(lanes: Lanes) -> None:
    # uvloop's transports raise when written to between the caller's leaving and the notice of it;
    # that ended the connection to upstream with a traceback.
    front, down, connection, _ = await lanes.connect()
    front.data_received(REQUEST)
    assert front.turn is Turn.RELAY
    down.close()
    connection.data_received(ANSWER)
    front.connection_lost(None)
    assert (bytes(down.sent), lanes.lane.in_flight, connection.free) == (b"", 0, True)


async def test_a_connection_whose_upstream_has_just_left_is_not_used(lanes: Lanes) -> None:
    front, _, connection, up = await lanes.connect()
    up.close()
    assert not connection.free
    assert lanes.pool.take() is None
    front.data_received(REQUEST)
    assert front.turn is Turn.HANDLER
    await until(lambda: front.turn is not Turn.HANDLER)
    front.connection_lost(None)


async def test_a_caller_who_leaves_ends_what_upstream_does_for_it(lanes: Lanes) -> None:
    front, _, connection, up = await lanes.connect()
    front.data_received(REQUEST)
    front.connection_lost(None)
    assert (up.closed, lanes.lane.in_flight) == (True, 0)
    connection.connection_lost(None)
    assert lanes.pool.count().busy == 0


async def test_a_caller_who_leaves_after_an_interim_answer_ends_it_too(lanes: Lanes) -> None:
    front, down, connection, up = await lanes.connect()
    front.data_received(REQUEST)
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    await until(lambda: down.sent.startswith(b"HTTP/1.1 103 "))
    down.close()
    front.connection_lost(None)
    assert up.closed
    connection.connection_lost(None)
    await until(lambda: not lanes.server.busy)


async def test_half_an_empty_line_is_the_beginning_of_a_request(lanes: Lanes) -> None:
    # The relay lane took the request behind it, which the other lane refuses: a CR is no method.
    front, down, _, up = await lanes.connect()
    front.data_received(b"\r")
    front.data_received(REQUEST)
    await until(lambda: bool(down.sent))
    assert down.sent.startswith(b"HTTP/1.1 400 ")
    assert bytes(up.sent) == b""
    front.connection_lost(None)


async def test_a_head_over_the_limit_is_not_plain(lanes: Lanes) -> None:
    # It ran upstream, and its caller was told 431 where the answer was not plain.
    front, down, _, up = await lanes.connect()
    front.data_received(REQUEST[:-2] + b"X: " + b"x" * 100_000 + b"\r\n\r\n")
    await until(lambda: bool(down.sent))
    assert down.sent.startswith(b"HTTP/1.1 431 ")
    assert bytes(up.sent) == b""
    front.connection_lost(None)


async def test_a_relayed_answer_says_that_its_connection_closes_once_the_shim_drains(
    lanes: Lanes,
) -> None:
    # The handler's lane said so, the relay lane did not.
    front, down, connection, _ = await lanes.connect()
    front.data_received(REQUEST)
    lanes.server.drain()
    connection.data_received(ANSWER)
    await until(lambda: bool(down.sent))
    assert down.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in down.sent
    assert down.sent.endswith(b"ok")
    front.connection_lost(None)


async def test_a_large_body_that_nobody_read_does_not_stop_what_follows_it() -> None:
    # Reading was paused for it, and nobody let it go on: the next request was never read.
    lanes = Lanes(asyncio.get_running_loop(), max_body=None)
    front, down, connection, _ = await lanes.connect()
    connection.abort()
    body = b"x" * 400_000
    head = b"POST /query HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    front.data_received(head + body[:300_000])
    assert not down.is_reading()
    front.data_received(body[300_000:])
    await until(lambda: front.turn is Turn.IDLE)
    # The lanes of these tests have no upstream to connect to.
    assert down.sent.startswith(b"HTTP/1.1 502 ")
    assert down.is_reading()
    front.connection_lost(None)


async def test_a_connection_that_cannot_close_since_nobody_reads_is_broken_off(
    lanes: Lanes,
) -> None:
    # A caller that never reads its last answer kept its connection for ever.
    front, down, _, _ = await lanes.connect()
    front.force_close()
    assert (down.closed, down.aborted) == (True, False)
    broken_off = []
    for seconds in (-1, 1):
        front.check(front.since + front.patience.stall + seconds)
        broken_off.append(down.aborted)
    assert broken_off == [False, True]
    front.connection_lost(None)


async def test_a_caller_over_http_2_that_comes_while_the_shim_drains_is_served_and_told(
    lanes: Lanes,
) -> None:
    # It had connected and waited to be accepted.
    lanes.server.drain()
    front, down, connection, up = await lanes.connect()
    front.data_received(PREFACE + SettingsFrame(0).serialize() + head(1))
    await until(lambda: bool(up.sent))
    assert up.sent.startswith(b"GET / HTTP/1.1\r\nHost: admin.test:9070\r\n")
    connection.data_received(ANSWER)
    await until(lambda: bytes(down.sent).endswith(b"ok"))
    lanes.server.close_idle()
    await until(lambda: down.closed)
    frames = frames_of(bytes(down.sent))
    last = [frame.last_stream_id for frame in frames if isinstance(frame, GoAwayFrame)]
    assert last == [LARGEST, 1]
    assert [frame.data for frame in frames if isinstance(frame, DataFrame)] == [b"ok"]
    front.connection_lost(None)


async def test_what_a_caller_over_http_2_has_asked_for_is_cut_off_in_the_end(
    lanes: Lanes,
) -> None:
    front, down, _, up = await lanes.connect()
    front.data_received(PREFACE + SettingsFrame(0).serialize() + head(1))
    await until(lambda: bool(up.sent))
    assert lanes.server.busy
    await lanes.server.shutdown(0.1)
    assert (down.closed, up.closed, lanes.server.busy) == (True, True, False)
    assert not [one for one in frames_of(bytes(down.sent)) if isinstance(one, HeadersFrame)]
    front.connection_lost(None)


# It was counted, and kept its place, for as long as its caller liked: nothing was left to wait for.
async def test_a_caller_over_http_2_that_half_closes_and_reads_nothing_is_broken_off(
    lanes: Lanes,
) -> None:
    front, down, _, _ = await lanes.connect()
    front.data_received(PREFACE + SettingsFrame(0).serialize() + head(1))
    # Its end has come: the transport closes once all is sent, which the caller does not take.
    down.close()
    broken_off = []
    for seconds in (0.0, front.patience.stall, front.patience.stall + 1):
        front.check(seconds)
        broken_off.append(down.aborted)
    assert broken_off == [False, False, True]
    front.connection_lost(None)


# Seventeen of them in the life of a connection were refused as if they had come in a row.
async def test_an_empty_line_behind_each_request_is_no_fault(lanes: Lanes) -> None:
    front, down, connection, _ = await lanes.connect()
    for number in range(1, 8):
        front.data_received(REQUEST)
        connection.data_received(ANSWER)
        assert down.sent.count(b"HTTP/1.1 200 OK") == number
        front.data_received(b"\r\n" * 3)
    front.connection_lost(None)
