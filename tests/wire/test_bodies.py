"""Where a body ends, in both directions: lengths, chunks, closes, and answers without one."""

from __future__ import annotations

import threading

import pytest

from tests.support.client import Client, request
from tests.support.message import chunk, chunks
from tests.support.origin import Connection, Origin, Received, answer, drip, reply, reply_and_close

PIECES = [b"a", b"bb" * 500, b"\x00\r\n0\r\n\r\n", b"z" * 70000]
WHOLE = b"".join(PIECES)


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 300_000])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET", "DELETE", "FOO"])
def test_a_request_of_known_length_passes(
    method: str, size: int, client: Client, origin: Origin
) -> None:
    """With its length, whatever the method."""
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    client.send(request(method, "/", b"Content-Length: %d" % size, body=body))
    assert client.read().status == 200
    got = origin.request()
    assert (got.framing, got.body) == ("length", body)


@pytest.mark.parametrize(
    "body",
    [
        chunks(),
        chunks(b"x"),
        chunks(*PIECES),
        b"5\r\nhello\r\n000\r\n\r\n",
        b"0005\r\nhello\r\n0\r\n\r\n",
        b"A\r\n0123456789\r\n0\r\n\r\n",
        b'5;foo="bar; baz";x\r\nhello\r\n0;last\r\n\r\n',
        b"5\r\nhello\r\n0\r\nX-Trailer: t\r\nX-Other: u\r\n\r\n",
    ],
    ids=["empty", "one byte", "many", "000", "0005", "A", "extensions", "trailers"],
)
@pytest.mark.parametrize("dripped", [False, True], ids=["at once", "dripped"])
def test_a_chunked_request_passes(
    body: bytes, dripped: bool, client: Client, origin: Origin
) -> None:
    """Its content, framed anew; the connection is good for another."""
    data = request("POST", "/", b"Transfer-Encoding: chunked", body=body)
    client.drip(data, size=1 if len(data) < 1000 else 997) if dripped else client.send(data)
    assert client.read().status == 200
    got = origin.request()
    plain = {chunks(*PIECES): WHOLE, chunks(): b"", chunks(b"x"): b"x"}
    expected = plain.get(body, b"0123456789" if body[:1] == b"A" else b"hello")
    assert (got.body, got.complete) == (expected, True)
    assert client.ask(request()).status == 200


@pytest.mark.parametrize("name", [b"Transfer-Encoding", b"TRANSFER-encoding"], ids=ascii)
@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"\tchunked "], ids=ascii)
def test_chunked_may_be_spelled_so(
    name: bytes, coding: bytes, client: Client, origin: Origin
) -> None:
    """Coding names are case-insensitive."""
    client.ask(request("POST", "/", name + b":" + coding, body=chunks(b"hello")))
    assert origin.request().body == b"hello"


def test_a_request_body_streams(client: Client, origin: Origin) -> None:
    """Upstream has the first half before the second is sent."""
    halfway = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        received.body = connection.reader.exactly(5)
        halfway.set()
        received.body += connection.reader.exactly(5)
        received.complete = True
        connection.send(answer(200))

    origin.script = script
    client.send(request("POST", "/", b"Content-Length: 10", body=b"first"))
    assert halfway.wait(2)
    client.send(b"later")
    assert client.read().status == 200
    assert origin.request().body == b"firstlater"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("dripped", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(
    "body", [b"", b"x", b"0\r\n\r\n", WHOLE[:2000]], ids=["0", "1", "crlf", "2k"]
)
def test_an_answer_passes(
    body: bytes, dripped: bool, framing: str, client: Client, origin: Origin
) -> None:
    """And the connection is good for another."""
    data = answer(200, body, framing=framing)
    origin.script = drip(data) if dripped else reply(data)
    for _ in range(2):
        got = client.ask(request())
        assert (got.complete, got.body) == (True, body)
    if framing == "length":
        assert got.values(b"content-length") == [b"%d" % len(body)]


@pytest.mark.parametrize(
    "body",
    [
        chunks(*PIECES),
        b"5\r\nhello\r\n000\r\n\r\n",
        b'5;a="b"\r\nhello\r\n0;x\r\n\r\n',
        b"00000005\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n",
    ],
    ids=["many", "000", "extensions", "zeros", "trailers"],
)
@pytest.mark.parametrize("cut", [0, 1, 3, 1400])
def test_a_chunked_answer_passes(cut: int, body: bytes, client: Client, origin: Origin) -> None:
    """However it is cut; trailers may be lost but never break what follows."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body

    def script(connection: Connection, received: Received) -> None:
        connection.drip(data[:300], cut or 300)
        connection.send(data[300:])

    origin.script = script
    for _ in range(2):
        got = client.ask(request())
        assert got.complete
        assert got.body == (WHOLE if body == chunks(*PIECES) else b"hello")


def test_an_answer_streams(client: Client, origin: Origin) -> None:
    """The first part is there before upstream sends the second."""
    go = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"first"))
        go.wait(5)
        connection.send(chunks(b"second"))

    origin.script = script
    client.send(request())
    head = client.read_head()
    assert head.values(b"transfer-encoding") == [b"chunked"]
    assert client.reader.line() == b"5"
    assert client.reader.exactly(7) == b"first\r\n"
    go.set()
    assert client.reader.chunked()[0] == b"second"


def test_a_head_goes_out_before_any_body_comes(client: Client, origin: Origin) -> None:
    """A long query that has found nothing yet still answers."""
    go = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        go.wait(5)
        connection.send(b"hello")

    origin.script = script
    client.send(request())
    assert client.read_head().status == 200
    go.set()
    assert client.reader.exactly(5) == b"hello"


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"], ids=ascii)
@pytest.mark.parametrize("said", [[], [b"Connection: close"]], ids=["silently", "as said"])
@pytest.mark.parametrize("body", [b"", b"until the end" * 1000], ids=["empty", "long"])
def test_a_body_that_ends_with_the_connection_passes(
    body: bytes, said: list[bytes], version: bytes, client: Client, origin: Origin
) -> None:
    """To callers of either version, from origins of either version."""
    head = b"\r\n".join([version + b" 200 OK", *said]) + b"\r\n\r\n"
    origin.script = reply_and_close(head + body[:20], body[20:], pause=0.02)
    got = client.ask(request())
    assert got.complete
    assert got.body == body


def test_a_body_that_ends_with_the_connection_ends_one_of_a_1_0_caller(
    client: Client, origin: Origin
) -> None:
    """No chunks for HTTP/1.0."""
    origin.script = reply_and_close(b"HTTP/1.1 200 OK\r\n\r\n", b"abc", pause=0.02)
    got = client.ask(request(version=b"HTTP/1.0"))
    assert (got.framing, got.body) == ("close", b"abc")


HEADS = {
    "length": b"Content-Length: 1234\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "neither": b"",
    "zero": b"Content-Length: 0\r\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_an_answer_to_head_has_no_body(head: str, client: Client, origin: Origin) -> None:
    """Whatever its fields say; both connections stay in step."""

    def script(connection: Connection, received: Received) -> None:
        if received.method == b"HEAD":
            connection.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n" + HEADS[head] + b"\r\n")
        else:
            connection.send(answer(200, b"real"))

    origin.script = script
    for _ in range(2):
        got = client.ask(request("HEAD", "/"))
        assert got.status == 200
        if head in ("length", "zero"):
            assert got.values(b"content-length") == [HEADS[head].split()[1]]
        assert client.ask(request()).body == b"real"


def test_head_and_get_pipelined_stay_in_step(client: Client, origin: Origin) -> None:
    """The length in the answer to HEAD belongs to no bytes."""

    def script(connection: Connection, received: Received) -> None:
        body = b"" if received.method == b"HEAD" else b"12345"
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)

    origin.script = script
    client.send(request("HEAD", "/1") + request("GET", "/2") + request("HEAD", "/3"))
    assert client.read("HEAD").status == 200
    assert client.read("GET").body == b"12345"
    assert client.read("HEAD").status == 200


@pytest.mark.parametrize(
    "fields", [[], [b"Content-Length: 1234"], [b"Content-Length: 0"]], ids=ascii
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_304_has_no_body(method: str, fields: list[bytes], client: Client, origin: Origin) -> None:
    """Its length is that of the body it does not have, and passes."""
    origin.script = reply(answer(304, b"", b'ETag: "x"', *fields, framing="none"))
    for _ in range(2):
        got = client.ask(request(method, "/", b'If-None-Match: "x"'))
        assert got.status == 304
        assert got.values(b"etag") == [b'"x"']
        if fields:
            assert [b"Content-Length: " + v for v in got.values(b"content-length")] == fields


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_204_has_no_body(method: str, client: Client, origin: Origin) -> None:
    """And gains no length, which RFC 9110 section 8.6 forbids."""
    origin.script = reply(answer(204, b"", b"X-A: 1", framing="none"))
    for _ in range(2):
        got = client.ask(request(method, "/", b"Content-Length: 0"))
        assert got.status == 204
        assert got.values(b"content-length") == got.values(b"transfer-encoding") == []
