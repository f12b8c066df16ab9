"""What a pooled upstream connection may carry, and what is tried again when it breaks."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support.client import Client, ask, request
from tests.support.expected import OK, check_fault
from tests.support.origin import Connection, Origin, Received, answer, break_off, reply_and_close
from tests.support.running import Shim


class TestReuse:
    """A pooled connection carries one answer per request, and nothing else."""

    FORGED = answer(200, b"forged")

    @pytest.mark.parametrize("stray", [FORGED, b"\r\n", b"x", OK], ids=ascii)
    @pytest.mark.parametrize("pause", [0, 0.05], ids=["with the answer", "while idle"])
    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_one_that_says_more_is_not_used_again(
        self, framing: str, pause: float, stray: bytes, impatient: Shim, silent_origin: Origin
    ) -> None:
        """What upstream says unasked answers nobody's request."""

        def script(connection: Connection, received: Received) -> None:
            connection.read_body(received)
            real = answer(200, b"real " + received.target, framing=framing)
            if pause:
                connection.send(real)
                time.sleep(pause)
                connection.send(stray)
            else:
                connection.send(real + stray)

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            for number in range(3):
                data = request("POST", f"/{number}", b"Content-Length: 0")
                assert client.ask(data).body == b"real /%d" % number
                assert not pause or silent_origin.connections[-1].gone.wait(2)
        assert len(silent_origin.connections) == 3

    @pytest.mark.parametrize(
        ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)]
    )
    @pytest.mark.parametrize("pause", [0, 0.03], ids=["at once", "later"])
    def test_a_body_where_none_may_be_is_nobodys_answer(
        self, pause: float, method: str, status: int, impatient: Shim, silent_origin: Origin
    ) -> None:
        """After HEAD, 204 and 304 a mistaken origin may send one."""

        def script(connection: Connection, received: Received) -> None:
            if received.target == b"/next":
                connection.send(answer(200, b"real"))
                return
            head = b"HTTP/1.1 %d S\r\nContent-Length: %d\r\n\r\n" % (status, len(self.FORGED))
            if pause:
                connection.send(head)
                time.sleep(pause)
                connection.send(self.FORGED)
            else:
                connection.send(head + self.FORGED)

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            for _ in range(2):
                assert client.ask(request(method, "/empty")).status == status
                assert not pause or silent_origin.connections[-1].gone.wait(2)
                assert client.ask(request("GET", "/next")).body == b"real"


REPEATABLE = [
    request("GET", "/x"),
    request("HEAD", "/x"),
    request("OPTIONS", "/x"),
    request("GET", "/x", b"Content-Length: 0"),
    request("DELETE", "/invocations/inv_retry?mode=kill"),
]
NOT_REPEATABLE = [
    request("POST", "/x", b"Content-Length: 0"),
    request("POST", "/x", b"Content-Length: 2", body=b"ab"),
    request("PATCH", "/x", b"Content-Length: 0"),
    request("PATCH", "/invocations/inv_x/kill"),
    request("FOO", "/x"),
    request("GET", "/x", b"Content-Length: 2", body=b"ab"),
    request("GET", "/x", b"Transfer-Encoding: chunked", body=b"2\r\nab\r\n0\r\n\r\n"),
]


class TestRetries:
    """A pooled connection closed before a byte of the answer: again, once, where that is safe."""

    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize("data", REPEATABLE, ids=lambda data: ascii(data[:30]))
    def test_a_repeatable_request_is_repeated(
        self, data: bytes, how: str, impatient: Shim, silent_origin: Origin
    ) -> None:
        """The caller notices nothing."""

        def script(connection: Connection, received: Received) -> None:
            connection.read_body(received)
            if connection.number == 0 and connection.requests == 2:
                connection.leave(how)
            else:
                connection.send(answer(200))

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            assert client.ask(request("GET", "/first")).status == 200
            assert client.ask(data).status in (200, 202)
        assert [got.connection for got in silent_origin.requests] == [0, 0, 1]
        first, second = silent_origin.requests[1:]
        assert (first.line, first.fields) == (second.line, second.fields)

    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize("data", NOT_REPEATABLE, ids=lambda data: ascii(data[:40]))
    def test_any_other_is_not(
        self, data: bytes, how: str, impatient: Shim, silent_origin: Origin
    ) -> None:
        """It may have been carried out: the caller must decide."""

        def script(connection: Connection, received: Received) -> None:
            connection.read_body(received)
            if connection.requests == 2:
                connection.leave(how)
            else:
                connection.send(answer(200))

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            assert client.ask(request("GET", "/first")).status == 200
            check_fault(client.ask(data), 502)
        assert len(silent_origin.requests) == 2

    @pytest.mark.parametrize("data", REPEATABLE, ids=lambda data: ascii(data[:30]))
    def test_a_fresh_connection_is_not_tried_again(
        self, data: bytes, impatient: Shim, silent_origin: Origin
    ) -> None:
        """It was no stale one: upstream means it."""
        silent_origin.script = break_off
        assert ask(impatient.proxy, data).status == 502
        assert len(silent_origin.requests) == 1

    @pytest.mark.parametrize("data", REPEATABLE, ids=lambda data: ascii(data[:30]))
    def test_once_is_enough(self, data: bytes, impatient: Shim, silent_origin: Origin) -> None:
        """The second failure is the caller's to know."""

        def script(connection: Connection, received: Received) -> None:
            if received.target == b"/first":
                connection.send(answer(200))
            else:
                connection.close()

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            assert client.ask(request("GET", "/first")).status == 200
            assert client.ask(data).status == 502
        assert [got.connection for got in silent_origin.requests] == [0, 0, 1]

    def test_not_after_a_byte_of_the_answer(self, impatient: Shim, silent_origin: Origin) -> None:
        """Then it was carried out."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(answer(200) if connection.requests == 1 else b"H")
            if connection.requests == 2:
                connection.close()

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            assert client.ask(request("GET", "/first")).status == 200
            check_fault(client.ask(request("GET", "/second")), 502)
        assert len(silent_origin.requests) == 2

    def test_a_connection_closed_while_idle_is_not_used(
        self, impatient: Shim, silent_origin: Origin
    ) -> None:
        """Not even for what cannot be repeated."""
        silent_origin.script = reply_and_close(answer(200))
        with Client(impatient.proxy) as client:
            for _ in range(3):
                assert client.ask(request("POST", "/", b"Content-Length: 0")).status == 200
                time.sleep(0.05)

    def test_a_whole_stale_pool_costs_one_repeat(
        self, impatient: Shim, silent_origin: Origin
    ) -> None:
        """The repeat goes to a fresh connection, not to the next stale one."""
        barrier = threading.Barrier(4)

        def script(connection: Connection, received: Received) -> None:
            if received.target == b"/fill":
                barrier.wait(5)
                connection.send(answer(200))
            elif connection.requests > 1:
                connection.reset()
            else:
                connection.send(answer(200, b"fresh"))

        silent_origin.script = script
        clients = [Client(impatient.proxy) for _ in range(4)]
        for client in clients:
            client.send(request("GET", "/fill"))
        for client in clients:
            assert client.read().status == 200
            client.close()
        assert ask(impatient.proxy, request("GET", "/now")).body == b"fresh"
