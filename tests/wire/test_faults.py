"""Upstream refuses, breaks off, falls silent or answers rubbish: the caller is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

import pytest

from tests.support.client import Client, ask, request, timed
from tests.support.expected import OK, SILENCE, check_fault
from tests.support.message import chunk
from tests.support.origin import (
    Connection,
    Origin,
    Received,
    answer,
    drip,
    hang,
    reply,
)
from tests.support.running import Shim

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
    "chunked in two fields": OK
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then gzip": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status in letters": b"HTTP/1.1 OK OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2 frames": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80",
    "ICY": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "a NUL in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "a CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "a switch nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Connection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    "an interim answer that nobody knows": b"HTTP/1.1 199 Hm\r\n\r\n",
    "an interim answer with a length": b"HTTP/1.1 103 H\r\nContent-Length: 5\r\n\r\nhello",
    "an interim answer in chunks": b"HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
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
            connection.leave(how, after=0.05 if begun else 0)

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
            connection.leave(how, after=pause)

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
                connection.leave("close", after=0.05)
            else:
                connection.send(answer(200, b"next" * 50))

        silent_origin.script = script
        with Client(impatient.proxy) as client:
            client.send(request("GET", "/cut") + request("GET", "/next"))
            got = client.read()
            assert not got.complete
            assert got.body == b"half"

    @pytest.mark.parametrize(
        "rest", [b"zz\r\n", b"5\r\nhelloX", b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n"]
    )
    def test_chunks_that_come_broken_with_their_head_are_502(
        self, impatient: Shim, silent_origin: Origin, rest: bytes
    ) -> None:
        """Nothing of the answer has gone on yet: the head went, and then nothing."""
        silent_origin.script = reply(OK + b"Transfer-Encoding: chunked\r\n\r\n" + rest)
        with Client(impatient.proxy) as client:
            assert client.ask(request()).status == 502


@pytest.mark.parametrize("leaves", ["at once", "with half a chunk"])
def test_a_body_that_breaks_off_under_an_answer_is_no_fault_of_ours(
    leaves: str, impatient: Shim, silent_origin: Origin
) -> None:
    """Nobody looked at what the task that sends the body ended with: it was logged as a crash."""

    def script(connection: Connection, _: Received) -> None:
        connection.send(OK + b"Content-Length: 200\r\n\r\nhalf")
        connection.wait_gone(5)

    silent_origin.script = script
    for _ in range(3):
        with Client(impatient.proxy) as client:
            client.send(request("POST", "/", b"Transfer-Encoding: chunked", body=chunk(b"hello")))
            client.read_head()
            if leaves == "with half a chunk":
                client.send(b"bad\r")
    assert ask(impatient.ops, request("GET", "/live")).status == 200
    assert [one for one in impatient.events if one["event"] == "library_log"] == []


@pytest.mark.parametrize("fields", [[], [b"Connection: x"]], ids=["relayed", "handled"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the middle of it"])
def test_callers_that_leave_are_told_of_in_a_line_or_two(
    fields: list[bytes], own_origin: Origin, start: Callable[..., Shim], *, begun: bool
) -> None:
    """Each of them was an error with a traceback, and a thousand of them filled the log."""

    def script(connection: Connection, received: Received) -> None:
        if begun:
            connection.send(OK + b"Content-Length: 200\r\n\r\nhalf")
        connection.wait_gone(5)

    own_origin.script = script
    shim = start(upstream=own_origin.url)
    for count in range(1, 21):
        with Client(shim.proxy) as client:
            client.send(request("GET", "/", *fields))
            own_origin.wait(count)
            if begun:
                client.read_head()
        assert own_origin.connections[-1].gone.wait(5)
    shim.terminate()
    assert shim.wait(10) == 0
    shim.event("stopped")
    left = [event for event in shim.events if event["event"] == "caller_left"]
    assert [event["count"] for event in left] == [1, 19]
    assert {event["level"] for event in shim.events} == {"info"}
