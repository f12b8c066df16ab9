"""1xx, `Expect: 100-continue`, and answers that come before the request is complete."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.client import Client, request
from tests.support.message import chunk, chunks, values
from tests.support.origin import Connection, Origin, Received, answer, reply
from tests.support.running import Shim


@pytest.mark.parametrize("status", [100, 102, 103])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("together", [True, False], ids=["with the answer", "before it"])
def test_informational_answers_come_before_the_final_one(
    together: bool, times: int, status: int, client: Client, origin: Origin
) -> None:
    """The final answer is never taken for theirs; 102 and 103 are passed on."""
    first = b"HTTP/1.1 %d Hint\r\nLink: </a>; rel=preload\r\n\r\n" % status * times
    final = answer(200, b"final")
    script = reply(first + final) if together else reply(first, final, pause=0.05)
    origin.script = script
    for _ in range(2):
        got = client.ask(request())
        assert (got.status, got.body) == (200, b"final")
        if status != 100:  # RFC 9110 section 15.2: 100 that nobody asked for may be dropped
            assert [code for code, _ in got.informational] == [status] * times
            link = values(got.informational[0][1], b"link")
            assert link == [b"</a>; rel=preload"]


# A caller that believed it took the final answer for its body.
def test_an_informational_answer_is_not_said_to_have_a_length(
    client: Client, origin: Origin
) -> None:
    """RFC 9110 section 8.6: it must not be."""
    hint = b"HTTP/1.1 103 Hint\r\nContent-Length: 5\r\nLink: </a>\r\n\r\n"
    origin.script = reply(hint + answer(200, b"final"))
    got = client.ask(request())
    assert got.body == b"final"
    ((_, fields),) = got.informational
    assert (values(fields, b"link"), values(fields, b"content-length")) == ([b"</a>"], [])


def test_an_http_1_0_caller_sees_no_informational_answer(client: Client, origin: Origin) -> None:
    """RFC 9110 section 15.2."""
    origin.script = reply(b"HTTP/1.1 103 Early Hints\r\n\r\n", answer(200, b"final"), pause=0.02)
    got = client.ask(request(version=b"HTTP/1.0"))
    assert (got.informational, got.body) == ([], b"final")


class TestExpect:
    """`Expect: 100-continue`, RFC 9110 section 10.1.1."""

    HEAD = request("POST", "/", b"Expect: 100-continue", b"Content-Length: 5")

    def test_the_body_is_sent_when_the_origin_asks_for_it(
        self, client: Client, origin: Origin
    ) -> None:
        """The caller gets its 100, the origin its body."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(received)
            connection.send(answer(200, received.body))

        origin.script = script
        for _ in range(2):
            client.send(self.HEAD)
            assert client.read_head().status == 100
            client.send(b"hello")
            assert client.read().body == b"hello"

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_the_body_is_sent_though_the_origin_never_asks(
        self, framing: str, client: Client, origin: Origin
    ) -> None:
        """An origin may know nothing of Expect; a caller need not wait for ever."""
        origin.script = lambda connection, received: connection.send(
            answer(200, connection.read_body(received))
        )
        data, body = self.HEAD, b"hello"
        if framing == "chunked":
            data = request("POST", "/", b"Expect: 100-continue", b"Transfer-Encoding: chunked")
            body = chunks(b"hello")
        client.send(data)
        time.sleep(0.3)
        client.send(body)
        assert client.read().body == b"hello"

    def test_a_caller_that_does_not_wait_is_served(self, client: Client, origin: Origin) -> None:
        """Head and body in one segment, another request behind them."""
        origin.script = lambda connection, received: connection.send(
            answer(200, connection.read_body(received))
        )
        client.send(self.HEAD + b"hello" + request("GET", "/next"))
        assert client.read().body == b"hello"
        assert client.read().status == 200
        assert [got.target for got in origin.requests] == [b"/", b"/next"]

    @pytest.mark.parametrize("status", [401, 413, 417])
    def test_a_final_answer_comes_at_once(
        self, status: int, client: Client, origin: Origin
    ) -> None:
        """Instead of 100, or right after it: the body is not needed for it."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(answer(status, b"no", b"Connection: close"))
            connection.wait_gone(5)

        origin.script = script
        client.send(self.HEAD)
        got = client.read()
        assert (got.status, got.body) == (status, b"no")

    def test_http_1_0_cannot_expect(self, client: Client, origin: Origin) -> None:
        """RFC 9110 section 10.1.1: such an expectation is ignored."""
        origin.script = lambda connection, received: connection.send(
            answer(200, connection.read_body(received))
        )
        client.send(self.HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
        got = client.read()
        assert (got.informational, got.body) == ([], b"hello")


@pytest.mark.parametrize("keeps", [False, True], ids=["origin hangs up", "origin reads on"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_early_answer_passes_while_the_body_is_being_sent(
    framing: str, keeps: bool, client: Client, origin: Origin
) -> None:
    """The caller reads 413 before it has sent a tenth of the body."""

    def script(connection: Connection, received: Received) -> None:
        connection.reader.exactly(1000)
        connection.send(answer(413, b"too much", *([] if keeps else [b"Connection: close"])))
        if keeps:
            connection.wait_gone(2)
        else:
            connection.half_close()
            connection.wait_gone(2)

    origin.script = script
    if framing == "length":
        client.send(request("POST", "/", b"Content-Length: 1000000", body=b"x" * 50000))
    else:
        client.send(request("POST", "/", b"Transfer-Encoding: chunked", body=chunk(b"x" * 50000)))
    got = client.read()
    assert (got.status, got.body) == (413, b"too much")


def test_an_early_answer_reaches_a_caller_that_sends_everything_first(
    shim: Shim, origin: Origin
) -> None:
    """Closing with unread bytes would reset the connection and lose the answer."""

    def script(connection: Connection, received: Received) -> None:
        connection.send(answer(413, b"too much", b"Connection: close"))
        connection.close()

    origin.script = script
    with Client(shim.proxy) as client:
        client.send_what_is_taken(request("POST", "/", b"Content-Length: 1000000"))
        client.wait_for_bytes()
        client.send_what_is_taken(b"x" * 1_000_000)
        got = client.read()
    assert (got.status, got.body) == (413, b"too much")


def test_a_request_after_an_early_answer_is_not_read_out_of_its_body(
    client: Client, origin: Origin
) -> None:
    """The rest of the body is body, on both sides, whoever answered it."""

    def script(connection: Connection, received: Received) -> None:
        if received.target == b"/early":
            connection.send(answer(400, b"early"))
            connection.wait_gone(1)
        else:
            connection.send(answer(200, b"smuggled"))

    origin.script = script
    inner = request("GET", "/smuggled")
    client.send(request("POST", "/early", b"Content-Length: %d" % (len(inner) + 1)))
    assert client.read().status == 400
    client.send_what_is_taken(inner)
    time.sleep(0.1)
    assert [got.target for got in origin.requests] == [b"/early"]


# It was told as a failure of upstream's.
def test_a_body_that_goes_wrong_after_its_answer_has_begun_is_the_callers_fault(
    start: Callable[..., Shim], own_origin: Origin
) -> None:
    def script(connection: Connection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        connection.wait_gone(2)

    own_origin.script = script
    shim = start(upstream=own_origin.url)
    with Client(shim.proxy) as client:
        client.send(request("POST", "/", b"Transfer-Encoding: chunked", body=chunk(b"x")))
        client.wait_for_bytes()
        client.send(b"this is no chunk\r\n")
        assert shim.event("request_refused")["status"] == 400
        got = client.read()
        assert (got.status, got.body, got.complete) == (200, b"hello", False)
    assert "upstream_failed" not in [event["event"] for event in shim.events]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_answer_is_read_before_the_reset_behind_it_is_believed(
    framing: str, shim: Shim, origin: Origin
) -> None:
    """A write that failed closed the connection, with the answer in it still to be read.

    Which of the two comes first is up to the kernel: of forty, ten went wrong.
    """

    def script(connection: Connection, received: Received) -> None:
        connection.send(answer(404, b"nothing here"))
        connection.reset()

    origin.script = script
    piece, count = b"x" * 65536, 40
    fields, body = b"Content-Length: %d" % (len(piece) * count), piece * count
    if framing == "chunked":
        fields, body = b"Transfer-Encoding: chunked", chunk(piece) * count
    for _ in range(40):
        with Client(shim.proxy) as client:
            client.send_what_is_taken(request("POST", "/nope", fields, body=body))
            got = client.read()
        assert (got.status, got.body) == (404, b"nothing here")


@pytest.mark.parametrize("size", [50_000, 1_000_000])
def test_no_request_follows_a_body_that_upstream_may_have_left_unread(
    size: int, client: Client, origin: Origin
) -> None:
    """Who does not read a body closes behind the answer, in the middle of the next request."""
    origin.script = reply(answer(404, b"nothing here"))
    for target in (b"/first", b"/second"):
        got = client.ask(request("POST", target, b"Content-Length: %d" % size, body=b"x" * size))
        assert (got.status, got.body) == (404, b"nothing here")
    first, second = origin.requests
    assert first.connection != second.connection


def test_connections_are_kept_where_the_body_has_surely_been_read(
    client: Client, origin: Origin
) -> None:
    """An answer that it went well says so, and so does a body in the same segment as its head."""
    for status, size in ((200, 1_000_000), (404, 1000), (200, 50_000), (404, 1000)):
        origin.script = reply(answer(status, b"read"))
        got = client.ask(request("POST", "/", b"Content-Length: %d" % size, body=b"x" * size))
        assert got.status == status
    assert len({received.connection for received in origin.requests}) == 1
