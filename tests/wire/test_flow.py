"""Slow peers, large bodies, callers that leave: nothing piles up and nothing is left open."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from typing import Self

import pytest

from tests.support.client import Client, request, timed
from tests.support.message import chunk, chunks
from tests.support.origin import EMPTY, Connection, Origin, Received, answer, hang
from tests.support.running import Shim
from tests.support.waiting import settled, wait_until

MIB = 1 << 20
LARGE = 200 * MIB
BLOCK = os.urandom(MIB)
ROOM = 32 * MIB  # what a shim may hold for one exchange, and noise


class Watch:
    """The highest resident size of a shim during a block, above what it was before."""

    def __init__(self, shim: Shim) -> None:
        self.shim = shim
        self.over = threading.Event()
        self.peak = 0

    def __enter__(self) -> Self:
        self.before = self.shim.memory()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.over.wait(0.02):
            self.peak = max(self.peak, self.shim.memory() - self.before)

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_slow_reader_of_a_large_answer_costs_no_memory(
    framing: str, shim: Shim, origin: Origin
) -> None:
    """Upstream is made to wait, and every byte arrives."""
    sent = [0]

    def script(connection: Connection, received: Received) -> None:
        connection.reader.deadline = 30
        fields = {
            "length": b"Content-Length: %d\r\n" % LARGE,
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "close": b"",
        }
        connection.send(b"HTTP/1.1 200 OK\r\n" + fields[framing] + b"\r\n")
        data = chunk(BLOCK) if framing == "chunked" else BLOCK
        for _ in range(LARGE // MIB):
            connection.send(data)
            sent[0] += MIB
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")
        if framing == "close":
            connection.close()

    origin.script = script
    with Client(shim.proxy, deadline=20) as client, Watch(shim) as watch:
        client.send(request())
        assert settled(lambda: sent[0]) < 64 * MIB
        got = client.read()
    assert (got.complete, len(got.body)) == (True, LARGE)
    assert hashlib.sha1(got.body).digest() == hashlib.sha1(BLOCK * (LARGE // MIB)).digest()
    assert watch.peak < ROOM


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_slow_origin_of_a_large_request_costs_no_memory(
    framing: str, shim: Shim, origin: Origin
) -> None:
    """The caller is made to wait, and every byte arrives."""
    go = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        connection.reader.deadline = 30
        go.wait(5)
        connection.read_body(received)
        connection.send(answer(200))

    origin.script = script
    taken = [0]

    def send(client: Client) -> None:
        data = chunk(BLOCK) if framing == "chunked" else BLOCK
        for _ in range(LARGE // MIB):
            client.send(data)
            taken[0] += MIB
        if framing == "chunked":
            client.send(b"0\r\n\r\n")

    field = b"Transfer-Encoding: chunked"
    if framing == "length":
        field = b"Content-Length: %d" % LARGE
    with Client(shim.proxy, deadline=30) as client, Watch(shim) as watch:
        client.send(request("POST", "/", field))
        sender = threading.Thread(target=send, args=(client,), daemon=True)
        sender.start()
        assert settled(lambda: taken[0]) < 64 * MIB
        go.set()
        sender.join(30)
        assert client.read().status == 200
    got = origin.request(within=5)
    assert len(got.body) == LARGE
    assert hashlib.sha1(got.body).digest() == hashlib.sha1(BLOCK * (LARGE // MIB)).digest()
    assert watch.peak < ROOM


def test_a_reader_of_nothing_costs_no_memory(shim: Shim, origin: Origin) -> None:
    """Thousands of pipelined requests whose answers nobody reads."""
    origin.script = lambda connection, received: connection.send(answer(200, BLOCK[:65536]))
    with Client(shim.proxy, receive_buffer=4096) as client, Watch(shim) as watch:
        client.sock.settimeout(0.5)
        try:
            for _ in range(20_000):
                client.sock.sendall(request("GET", "/flood"))
        except TimeoutError:
            pass
        settled(lambda: len(origin.requests))
    assert watch.peak < ROOM


class TestCallerLeaves:
    """The upstream exchange of a caller that has left is closed at once."""

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_before_the_answer(self, how: str, shim: Shim, origin: Origin) -> None:
        """A long query nobody waits for."""
        origin.script = hang
        client = Client(shim.proxy)
        client.send(request("POST", "/query", b"Content-Length: 2", body=b"{}"))
        assert origin.request().complete
        client.reset() if how == "reset" else client.close()
        assert origin.wait().gone.wait(1)

    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize("flowing", [True, False], ids=["flowing", "stalled"])
    def test_inside_the_answer(self, flowing: bool, how: str, shim: Shim, origin: Origin) -> None:
        """A stream nobody reads."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.send(chunk(b"first"))
            while flowing:
                connection.send(chunk(b"x" * 1000))
                time.sleep(0.005)
            connection.wait_gone(5)

        origin.script = script
        client = Client(shim.proxy)
        client.send(request())
        assert client.read_head().status == 200
        assert client.reader.line()
        assert client.reader.exactly(5) == b"first"
        client.reset() if how == "reset" else client.close()
        assert origin.wait().gone.wait(1)

    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_inside_its_request(self, framing: str, how: str, shim: Shim, origin: Origin) -> None:
        """Half a body never becomes a whole one."""
        client = Client(shim.proxy)
        field, body = b"Content-Length: 100", b"half"
        if framing == "chunked":
            field, body = b"Transfer-Encoding: chunked", chunk(b"half")
        client.send(request("POST", "/", field, body=body))
        connection = origin.wait()
        wait_until(lambda: b"half" in origin.heard)
        client.reset() if how == "reset" else client.close()
        assert connection.gone.wait(1)
        assert not origin.requests[0].complete

    def test_while_nothing_is_read(self, shim: Shim, origin: Origin) -> None:
        """A caller that stalled inside a large answer, and then leaves."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            for number in range(LARGE // MIB):
                connection.send(BLOCK)
                sent[0] = number + 1

        sent = [0]
        origin.script = script
        client = Client(shim.proxy)
        client.send(request())
        wait_until(lambda: sent[0])
        assert settled(lambda: sent[0]) < LARGE // MIB
        client.close()
        assert origin.wait().gone.wait(1)

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_a_translated_call_is_seen_through(self, how: str, shim: Shim, origin: Origin) -> None:
        """It has been sent, so its outcome is recorded."""
        gone_early = []

        def script(connection: Connection, received: Received) -> None:
            gone_early.append(connection.wait_gone(0.4))
            connection.reader.deadline = 5
            connection.send(answer(200))

        origin.script = script
        client = Client(shim.proxy)
        client.send(request("DELETE", f"/invocations/inv_left_{how}?mode=kill"))
        origin.wait()
        client.reset() if how == "reset" else client.close()
        use = shim.use(f"inv_left_{how}", within=3)
        assert gone_early == [False]
        assert (use["decision"], use["upstream_status"]) == ("translated", 200)

    def test_its_connection_is_not_needed_for_others(self, shim: Shim, origin: Origin) -> None:
        """Fifty callers leave; the shim serves the next at once."""

        def script(connection: Connection, received: Received) -> None:
            if received.target == b"/leave":
                connection.wait_gone(5)
            else:
                connection.send(answer(200))

        origin.script = script
        clients = [Client(shim.proxy) for _ in range(50)]
        for client in clients:
            client.send(request("GET", "/leave"))
        origin.wait(count=50)
        for client in clients:
            client.close()
        with timed(1), Client(shim.proxy) as client:
            assert client.ask(request("GET", "/stay")).status == 200
        for connection in origin.connections[:50]:
            assert connection.gone.wait(1)


class TestStalls:
    """`--client-timeout`: callers that begin and do not go on."""

    @pytest.mark.parametrize(
        "begun",
        [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-A", request()[:-1]],
        ids=ascii,
    )
    def test_a_head_that_stalls_is_ended(
        self, begun: bytes, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """With 408 or without a word; nothing goes upstream."""
        shim = start("--client-timeout", "300ms", upstream=own_origin.url)
        with Client(shim.proxy) as client, timed(2):
            client.send(begun)
            got = client.reader.rest()
        assert got == b"" or got.startswith(b"HTTP/1.1 408 ")
        assert own_origin.heard == b""

    def test_a_body_that_stalls_is_ended(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """On both sides, and is not complete upstream."""
        shim = start("--client-timeout", "300ms", upstream=own_origin.url)
        with Client(shim.proxy) as client, timed(2):
            client.send(request("POST", "/", b"Content-Length: 10", body=b"half"))
            got = client.reader.rest()
            assert got == b"" or got.startswith(b"HTTP/1.1 408 ")
        assert own_origin.wait().gone.wait(1)
        assert not own_origin.requests[0].complete

    def test_a_slow_but_steady_body_passes(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """The time is for a stall, not for the whole."""
        shim = start("--client-timeout", "300ms", upstream=own_origin.url)
        with Client(shim.proxy) as client:
            client.send(request("POST", "/", b"Transfer-Encoding: chunked"))
            for _ in range(6):
                time.sleep(0.1)
                client.send(chunk(b"x"))
            client.send(chunks())
            assert client.read().status == 200

    # One byte a second held a connection to upstream for ever.
    def test_a_body_has_a_time_in_all(self, own_origin: Origin, start: Callable[..., Shim]) -> None:
        """`--body-timeout`, however steadily it trickles; what upstream takes does not count."""
        shim = start("--body-timeout", "300ms", upstream=own_origin.url)
        with Client(shim.proxy) as client, timed(3):
            client.send(request("POST", "/", b"Content-Length: 100"))
            client.drip(b"x" * 40, pause=0.02)
            assert client.read().status == 408
        assert shim.event("request_refused")["status"] == 408
        assert own_origin.wait().gone.wait(1)
        assert not own_origin.requests[0].complete

        def reads_late(connection: Connection, received: Received) -> None:
            time.sleep(0.5)
            connection.read_body(received)
            connection.send(EMPTY)

        own_origin.script = reads_late
        with Client(shim.proxy) as client:
            client.send(request("POST", "/", b"Content-Length: 5000000", body=b"x" * 5_000_000))
            assert client.read().status == 200

    def test_an_idle_connection_is_closed_in_its_own_time(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """`--keepalive-timeout`, without a word."""
        shim = start("--keepalive-timeout", "400ms", upstream=own_origin.url)
        with Client(shim.proxy) as client:
            assert client.ask(request()).status == 200
            time.sleep(0.2)
            assert client.ask(request()).status == 200
            assert client.closed(within=2)


def test_an_answer_that_began_before_the_body_ended_may_take_its_time(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # When the body ended, upstream got the time for beginning an answer anew, and for all of it.
    shim = start("--upstream-timeout", "300ms", upstream=own_origin.url)

    def script(connection: Connection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        connection.read_body(received)
        time.sleep(0.9)
        connection.send(b"full")

    own_origin.script = script
    with Client(shim.proxy) as client:
        client.send(request("POST", "/", b"Content-Length: 5", body=b"he"))
        assert client.read_head().status == 200
        client.send(b"llo")
        client.wait_for_bytes()
        assert client.reader.exactly(8) == b"halffull"


def test_a_caller_who_leaves_an_observed_call_s_answer_ends_it(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # Its effect is recorded by then; request and connection were held for as long as upstream was.
    shim = start("--phase", "observe", upstream=own_origin.url)
    gone = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nhalf")
        if connection.wait_gone(10):
            gone.set()

    own_origin.script = script
    with Client(shim.proxy) as client:
        client.send(request("DELETE", "/invocations/inv_left?mode=kill"))
        assert client.read_head().status == 202
    assert gone.wait(5)
    assert shim.use("inv_left")["decision"] == "observed"
