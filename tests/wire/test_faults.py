"""Upstream refuses, breaks off, falls silent or answers rubbish; the caller is told, never lied to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

from .client import Answer, Client, ask, request, timed
from .message import chunk
from .origin import (
    Connection,
    Origin,
    Received,
    answer,
    break_off,
    drip,
    hang,
    reply,
    reply_and_close,
)
from .running import Shim

SILENCE = 0.4  # seconds until 504


@pytest.fixture(scope="module")
def impatient_origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="module")
def impatient(impatient_origin: Origin) -> Iterator[Shim]:
    """A shim that waits for upstream no longer than `SILENCE`."""
    shim = Shim("--upstream-timeout", f"{SILENCE * 1000:.0f}ms", upstream=impatient_origin.url)
    yield shim
    shim.stop()


@pytest.fixture
def silent_origin(impatient_origin: Origin, impatient: Shim) -> Iterator[Origin]:
    impatient_origin.forget()
    yield impatient_origin
    impatient_origin.forget()
    assert impatient.process.poll() is None, impatient.stderr.decode()


def check_fault(got: Answer, status: int) -> None:
    """A 502 or 504 in Restate's shape."""
    assert got.status == status
    assert got.complete
    assert [kind.split(b";")[0] for kind in got.values(b"content-type")] == [b"application/json"]
    assert set(got.json()) == {"message", "restate_code"}
    assert got.json()["restate_code"] is None
    assert len(got.json()["message"]) > 5


OK = b"HTTP/1.1 200 OK\r\n"
UNFRAMEABLE = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length and chunked": OK
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked and a length": OK
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    **{
        f"length {value!r}": OK + b"Content-Length: " + value + b"\r\n\r\nhello"
        for value in (b"+5", b"-5", b"5, 6", b"0x5", b"5 5", b"", b"five", b"9" * 40, b"5_0")
    },
    **{
        f"a value with {char!r}": OK + b"X-A: a" + char + b"b\r\nContent-Length: 0\r\n\r\n"
        for char in (b"\x00", b"\r", b"\n", b"\rX: ", b"\x01")
    },
    "folded": OK + b"X-A: one\r\n two\r\nContent-Length: 0\r\n\r\n",
    "bare LFs": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a bare LF after the status line": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "a bare LF ends the head": OK + b"Content-Length: 0\r\n\n",
    "an empty name": OK + b": x\r\nContent-Length: 0\r\n\r\n",
    "a name with a space": OK + b"X A: x\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "a name with a NUL": OK + b"X\x00A: x\r\nContent-Length: 0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then gzip": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status in letters": b"HTTP/1.1 OK OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2 frames": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01",
    "ICY": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "a NUL in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "a CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "a switch nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Connection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    "a huge head": OK + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 1000) for n in range(2000)) + b"\r\n",
    "a huge field": OK + b"X-A: " + b"v" * 2_000_000 + b"\r\n\r\n",
    "an endless reason": b"HTTP/1.1 200 " + b"O" * 2_000_000 + b"\r\n\r\n",
    "an endless row of 1xx": b"HTTP/1.1 103 Hint\r\n\r\n" * 100_000,
}


@pytest.mark.parametrize("case", UNFRAMEABLE)
class TestUnframeable:
    """A 502 which says so; no byte of it reaches the caller, nothing is read behind it."""

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    def test_at_once(self, method: str, case: str, impatient: Shim, silent_origin: Origin) -> None:
        """And the next exchange is sound, on the same client connection."""

        def script(connection: Connection, received: Received) -> None:
            connection.read_body(received)
            if received.target == b"/bad":
                connection.send(UNFRAMEABLE[case] + answer(200, b"forged"))
                connection.wait_gone(2)
                connection.close()
            else:
                connection.send(answer(200, b"real"))

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            assert client.ask(request("GET", "/good")).body == b"real"
            got = client.ask(request(method, "/bad", b"Content-Length: 0"))
            if method == "HEAD":
                assert got.status == 502
            else:
                check_fault(got, 502)
            assert client.ask(request("GET", "/after")).body == b"real"

    def test_byte_by_byte(self, case: str, impatient: Shim, silent_origin: Origin) -> None:
        """However it is cut."""
        silent_origin.script = drip(UNFRAMEABLE[case][:400])
        if len(UNFRAMEABLE[case]) <= 400:
            check_fault(ask(impatient.proxy, request()), 502)


class TestNoAnswer:
    """Nothing, or not enough, before the connection ends."""

    @pytest.mark.parametrize("method", ["GET", "POST", "FOO"])
    def test_refused_is_502(self, method: str, impatient: Shim, silent_origin: Origin) -> None:
        """And works again as soon as upstream does."""
        silent_origin.refuse()
        try:
            with Client(impatient.proxy) as client:
                check_fault(client.ask(request(method, "/", b"Content-Length: 0")), 502)
        finally:
            silent_origin.listen()
        assert ask(impatient.proxy, request()).status == 200

    def test_refused_is_502_for_the_old_call(self, impatient: Shim, silent_origin: Origin) -> None:
        """Recorded as failed."""
        silent_origin.refuse()
        try:
            check_fault(ask(impatient.proxy, request("DELETE", "/invocations/inv_refused")), 502)
        finally:
            silent_origin.listen()
        use = impatient.use("inv_refused")
        assert (use["decision"], use["status"], use["upstream_status"]) == ("failed", 502, None)
        assert use["error"]
        assert use["masked"] is False

    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize(
        "begun", [b"", b"H", b"HTTP/1.1 200 OK\r\n", OK + b"X-A: 1\r\n"], ids=ascii
    )
    def test_broken_off_is_502(
        self, begun: bytes, how: str, impatient: Shim, silent_origin: Origin
    ) -> None:
        """Before the head was complete."""

        def script(connection: Connection, received: Received) -> None:
            connection.read_body(received)
            connection.send(begun)
            time.sleep(0.05 if begun else 0)
            connection.reset() if how == "reset" else connection.close()

        silent_origin.script = script
        check_fault(ask(impatient.proxy, request()), 502)

    @pytest.mark.parametrize(
        "begun", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 103 H\r\n\r\n"], ids=ascii
    )
    def test_silence_is_504(self, begun: bytes, impatient: Shim, silent_origin: Origin) -> None:
        """In the time that was set; the upstream connection is let go."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(begun)
            hang(connection, received)

        silent_origin.script = script
        with timed(SILENCE + 1):
            check_fault(ask(impatient.proxy, request()), 504)
        assert silent_origin.wait().gone.wait(1)

    def test_silence_is_504_for_the_old_call(self, impatient: Shim, silent_origin: Origin) -> None:
        """Recorded as failed; never repeated, as it may have worked."""
        silent_origin.script = hang
        check_fault(ask(impatient.proxy, request("DELETE", "/invocations/inv_silent")), 504)
        use = impatient.use("inv_silent")
        assert (use["decision"], use["status"], use["upstream_status"]) == ("failed", 504, None)
        assert len(silent_origin.requests) == 1

    def test_a_slow_body_is_no_silence(self, impatient: Shim, silent_origin: Origin) -> None:
        """The time is for the head: a query may take longer to stream."""
        silent_origin.script = reply(OK + b"Content-Length: 4\r\n\r\nab", b"cd", pause=SILENCE * 2)
        assert ask(impatient.proxy, request()).body == b"abcd"

    def test_a_slow_upload_is_no_silence(self, impatient: Shim, silent_origin: Origin) -> None:
        """Upstream cannot answer what the caller has not finished sending."""
        with Client(impatient.proxy) as client:
            client.send(request("POST", "/", b"Content-Length: 4", body=b"ab"))
            time.sleep(SILENCE * 2)
            client.send(b"cd")
            assert client.read().status == 200


class TestTruncated:
    """A fault after the answer has begun: what was cut looks cut."""

    BODIES: ClassVar = {
        "length": OK + b"Content-Length: 100\r\n\r\nhalf",
        "length, large": OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000,
        "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"half"),
        "chunked, inside a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal",
        "chunked, before the last CRLF": OK
        + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"half") + b"0\r\n",
        "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"half") + b"zz\r\n",
        "bad end of chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalfXX0\r\n\r\n",
    }  # fmt: skip

    @pytest.mark.parametrize("case", BODIES)
    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize("pause", [0, 0.05], ids=["at once", "later"])
    @pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"], ids=ascii)
    def test_it_never_looks_complete(
        self,
        version: bytes,
        pause: float,
        how: str,
        case: str,
        impatient: Shim,
        silent_origin: Origin,
    ) -> None:
        """The connection ends inside the body; for a body without an end of its own, by a reset."""

        def script(connection: Connection, received: Received) -> None:
            connection.send(self.BODIES[case])
            time.sleep(pause)
            connection.reset() if how == "reset" else connection.close()

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            client.send(request(version=version))
            try:
                got = client.read()
            except (ConnectionResetError, EOFError):
                return
            if got.status == 502:
                check_fault(got, 502)
                return
            assert got.status == 200
            assert got.framing != "close", "a cut body ended like a whole one"
            assert not got.complete
            assert client.closed()

    def test_pipelined_requests_behind_it_are_not_answered_into_it(
        self, impatient: Shim, silent_origin: Origin
    ) -> None:
        """Or the caller would read the next head as body."""

        def script(connection: Connection, received: Received) -> None:
            if received.target == b"/cut":
                connection.send(self.BODIES["length"])
                time.sleep(0.05)
                connection.close()
            else:
                connection.send(answer(200, b"next" * 50))

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            client.send(request("GET", "/cut") + request("GET", "/next"))
            got = client.read()
            assert not got.complete
            assert got.body == b"half"


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
                time.sleep(pause * 2)
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
                time.sleep(pause * 2)
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
                connection.reset() if how == "reset" else connection.close()
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
                connection.reset() if how == "reset" else connection.close()
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
