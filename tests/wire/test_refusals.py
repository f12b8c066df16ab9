"""What cannot be read in exactly one way is refused, the connection closed, nothing upstream."""

from __future__ import annotations

import time

import pytest

from tests.support.client import Answer, Client, request
from tests.support.expected import ADDED
from tests.support.message import chunk, values, without
from tests.support.origin import Origin

H = b"Host: a\r\n"


def post(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST /bad " + version + b"\r\n" + H + head + b"\r\n" + body


def get(*lines: bytes) -> bytes:
    return b"GET /bad HTTP/1.1\r\n" + H + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


REFUSED = {
    # Host, RFC 9112 section 3.2
    "no Host": b"GET /bad HTTP/1.1\r\n\r\n",
    "no Host but other fields": b"GET /bad HTTP/1.1\r\nX-A: 1\r\nHosts: a\r\n\r\n",
    "no Host with an absolute target": b"GET http://a/bad HTTP/1.1\r\n\r\n",
    "two Hosts": get(b"Host: b"),
    "two equal Hosts": get(b"Host: a"),
    "two Hosts in HTTP/1.0": b"GET /bad HTTP/1.0\r\n" + H + b"host: b\r\n\r\n",
    "a Host that is a list": b"GET /bad HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a Host with a space": b"GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a Host with a slash": b"GET /bad HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a Host with userinfo": b"GET /bad HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "a Host with two ports": b"GET /bad HTTP/1.1\r\nHost: 1.2.3.4:9000:80\r\n\r\n",
    "a Host with a word for a port": b"GET /bad HTTP/1.1\r\nHost: a:http\r\n\r\n",
    "a Host with half an address": b"GET /bad HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "a Host with brackets inside": b"GET /bad HTTP/1.1\r\nHost: a[1]\r\n\r\n",
    # Laxer than every peer: these went on.
    "two ports in the target": b"GET http://1.2.3.4:9000:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "half an address in the target": b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host in the target": b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    # one framing, RFC 9112 section 6.3
    "length and chunked": post(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunked and length": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    "chunked and length 0": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 0", body=b"0\r\n\r\n"
    ),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "two equal lengths": post(b"Content-Length: 5", b"content-length: 5", body=b"hello"),
    **{
        f"length {value!r}": post(b"Content-Length: " + value, body=b"hello")
        for value in (
            b"+5", b"-5", b"-0", b"5, 5", b"5,5", b"5,", b"0x5", b"5 5", b"5;", b"", b"five",
            b"1e1", b"5.0", b"0_5", b"\xd9\xa5", b"18446744073709551621", b"9" * 40, b'"5"',
        )
    },
    **{
        f"coding {value!r}": post(b"Transfer-Encoding: " + value, body=b"5\r\nhello\r\n0\r\n\r\n")
        for value in (
            b"gzip", b"identity", b"chunked, chunked", b"chunked, gzip", b"xchunked", b"chunkedx",
            b"", b"chunked,", b",chunked,x", b"chunked;q=1", b'"chunked"', b"chunk", b"\x0bchunked",
            b"\x0cchunked", b"chunked\x00", b"gzip chunked",
            b"identity, chunked, identity, chunked",
        )
    },
    "chunked twice": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunked, then gzip": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"
    ),
    "chunked, then identity": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"
    ),
    "identity with a length": post(
        b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"
    ),
    "chunked in HTTP/1.0": post(
        b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"
    ),
    "chunked and length in HTTP/1.0": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n", version=b"HTTP/1.0"
    ),
    # field lines, RFC 9112 section 5
    "folded with a space": get(b"X-A: one", b" two"),
    "folded with a tab": get(b"X-A: one", b"\ttwo"),
    "folded Content-Length": post(b"Content-Length:", b" 5", body=b"hello"),
    "folded Transfer-Encoding": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "a space before the first field": b"GET /bad HTTP/1.1\r\n X-A: 1\r\n" + H + b"\r\n",
    "a space before the colon": get(b"X-A : 1"),
    "a tab before the colon": get(b"X-A\t: 1"),
    "a space before the colon of a length": post(b"Content-Length : 5", body=b"hello"),
    "a space before the colon of chunked": post(
        b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"
    ),
    "no colon": get(b"X-A 1"),
    "no colon and no space": get(b"X-A"),
    "an empty name": get(b": 1"),
    **{
        f"a name with {char!r}": get(b"X" + char + b"A: 1")
        for char in (b" ", b"(", b")", b"<", b"@", b",", b";", b"\\", b'"', b"/", b"[", b"]", b"?",
                     b"=", b"{", b"}", b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xc3\xa9")
    },
    **{
        f"a value with {char!r}": get(b"X-A: one" + char + b"two")
        for char in (b"\x00", b"\x01", b"\x07", b"\x08", b"\x0b", b"\x0c", b"\x0e", b"\x1b",
                     b"\x1f", b"\x7f", b"\r", b"\n", b"\rX: y", b"\nX: y")
    },
    "a bare CR at the end of a value": get(b"X-A: one\r"),
    "a NUL in the Host": b"GET /bad HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "bare LFs throughout": b"GET /bad HTTP/1.1\nHost: a\n\n",
    "a bare LF after the request line": b"GET /bad HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF after a field": b"GET /bad HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n",
    "a bare LF ends the head": b"GET /bad HTTP/1.1\r\nHost: a\r\n\n",
    "a bare LF after the last field": b"GET /bad HTTP/1.1\r\nHost: a\n\r\n",
    "a bare CR after the request line": b"GET /bad HTTP/1.1\rHost: a\r\n\r\n",
    # the request line, RFC 9112 section 3
    "HTTP/1.2": b"GET /bad HTTP/1.2\r\n" + H + b"\r\n",
    "HTTP/1.10": b"GET /bad HTTP/1.10\r\n" + H + b"\r\n",
    "HTTP/01.1": b"GET /bad HTTP/01.1\r\n" + H + b"\r\n",
    "HTTP/2.0": b"GET /bad HTTP/2.0\r\n" + H + b"\r\n",
    "HTTP/2": b"GET /bad HTTP/2\r\n" + H + b"\r\n",
    "HTTP/0.9 with its version": b"GET /bad HTTP/0.9\r\n" + H + b"\r\n",
    "HTTP/0.9 without": b"GET /bad\r\n",
    "HTTP/0.9 with fields": b"GET /bad\r\n" + H + b"\r\n",
    "lower-case http": b"GET /bad http/1.1\r\n" + H + b"\r\n",
    "mixed-case Http": b"GET /bad Http/1.1\r\n" + H + b"\r\n",
    "no slash in the version": b"GET /bad HTTP1.1\r\n" + H + b"\r\n",
    "HTTPS/1.1": b"GET /bad HTTPS/1.1\r\n" + H + b"\r\n",
    "RTSP/1.0": b"DESCRIBE /bad RTSP/1.0\r\n" + H + b"\r\n",
    "ICE/1.0": b"SOURCE /bad ICE/1.0\r\n" + H + b"\r\n",
    "two spaces before the target": b"GET  /bad HTTP/1.1\r\n" + H + b"\r\n",
    "two spaces before the version": b"GET /bad  HTTP/1.1\r\n" + H + b"\r\n",
    "a space in the target": b"GET /ba d HTTP/1.1\r\n" + H + b"\r\n",
    "a tab for a space": b"GET\t/bad HTTP/1.1\r\n" + H + b"\r\n",
    "a tab before the version": b"GET /bad\tHTTP/1.1\r\n" + H + b"\r\n",
    "a space after the version": b"GET /bad HTTP/1.1 \r\n" + H + b"\r\n",
    "a space before the method": b" GET /bad HTTP/1.1\r\n" + H + b"\r\n",
    "no target": b"GET HTTP/1.1\r\n" + H + b"\r\n",
    "no method": b"/bad HTTP/1.1\r\n" + H + b"\r\n",
    **{
        f"a target with {char!r}": b"GET /ba" + char + b"d HTTP/1.1\r\n" + H + b"\r\n"
        for char in (b"\x00", b"\x01", b"\t", b"\x0b", b"\x7f", b"\r", b"\n")
    },
    **{
        f"a method with {char!r}": b"GE" + char + b"T /bad HTTP/1.1\r\n" + H + b"\r\n"
        for char in (b"\x00", b":", b"/", b"(", b"\x80", b"\xff", b'"', b"@", b"\x7f")
    },
    "an unknown method with a bad byte": b"FO\x00O /bad HTTP/1.1\r\n" + H + b"\r\n",
    "an unknown method with two spaces": b"FOO  /bad HTTP/1.1\r\n" + H + b"\r\n",
    "an unknown method and HTTP/1.2": b"FOO /bad HTTP/1.2\r\n" + H + b"\r\n",
    "an unknown method and two lengths": b"FOO /bad HTTP/1.1\r\n"
    + H
    + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a relative target": b"GET bad HTTP/1.1\r\n" + H + b"\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\n" + H + b"\r\n",
    "an asterisk and more": b"OPTIONS *bad HTTP/1.1\r\n" + H + b"\r\n",
    "an authority for GET": b"GET a:443 HTTP/1.1\r\n" + H + b"\r\n",
    "an authority for FOO": b"FOO a:443 HTTP/1.1\r\n" + H + b"\r\n",
    "an absolute target without a host": b"GET http:///bad HTTP/1.1\r\n" + H + b"\r\n",
    # what is not for a gateway
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "CONNECT to a path": b"CONNECT /bad HTTP/1.1\r\n" + H + b"\r\n",
    "CONNECT with bytes behind it": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
    + request("GET", "/tunnel"),
    "the HTTP/2 preface with another end": b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
    "the HTTP/2 preface with a field": b"PRI * HTTP/2.0\r\n" + H + b"\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
    "the PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + get(),
    "NULs": b"\x00" * 64 + b"\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}  # fmt: skip


def check_refused(client: Client, status: int | None = None) -> Answer:
    """A 4xx in Restate's shape, and the end of the connection."""
    got = client.read()
    assert 400 <= got.status < 500
    if status is not None:
        assert got.status == status
    assert got.complete
    types = got.values(b"content-type")
    assert [kind.split(b";")[0] for kind in types] == [b"application/json"]
    assert set(got.json()) == {"message", "restate_code"}
    assert got.json()["restate_code"] is None
    assert len(got.json()["message"]) > 5
    assert [value.lower() for value in got.values(b"connection")] == [b"close"]
    assert client.closed()
    return got


@pytest.mark.parametrize("case", REFUSED)
class TestRefused:
    """The same however the bytes arrive."""

    def test_in_one_segment(self, case: str, client: Client, origin: Origin) -> None:
        """And with another request right behind, which is never read."""
        client.send(REFUSED[case] + request("GET", "/behind"))
        check_refused(client)
        assert origin.heard == b""

    def test_after_a_good_request(self, case: str, client: Client, origin: Origin) -> None:
        """On a connection in use."""
        assert client.ask(request("GET", "/good")).status == 200
        client.send_what_is_taken(REFUSED[case])
        check_refused(client)
        assert [got.target for got in origin.requests] == [b"/good"]

    def test_byte_by_byte(self, case: str, client: Client, origin: Origin) -> None:
        """Refused at the first byte that is wrong, or at the end."""
        client.drip(REFUSED[case])
        check_refused(client)
        assert [got for got in origin.requests if got.complete] == []


@pytest.mark.parametrize("size", [1, 24])
def test_a_connection_that_has_begun_with_http_1_goes_on_with_it(
    size: int, client: Client, origin: Origin
) -> None:
    """RFC 9113 section 3.4: the preface is the first that a connection sends."""
    assert client.ask(request("GET", "/good")).status == 200
    client.drip(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", size)
    said = check_refused(client, 400).json()["message"]
    # Byte by byte, the beginning of the line is wrong before it shows what it means.
    assert size == 1 or "HTTP/2" in said


BAD_CHUNKS = {
    **{
        f"size {size!r}": size + b"\r\nhello\r\n0\r\n\r\n"
        for size in (
            b"g",
            b"-5",
            b"+5",
            b"0x5",
            b" 5",
            b"",
            b"5 5",
            b"5_0",
            b"\x005",
            b"5\x00",
            b"5\x0b",
            b"ffffffffffffffff5",
            b"10000000000000005",
            b"\xd9\xa5",
            b"5.",
            b";x",
            b"5\r;x",
        )
    },
    "a bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "a bare LF in an extension": b"5;a=b\nc\r\nhello\r\n0\r\n\r\n",
    "a bare LF after an extension": b"5;a=b\nhello\r\n0\r\n\r\n",
    "a bare CR in an extension": b"5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "a NUL in an extension": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "too much data": b"5\r\nhello!\r\n0\r\n\r\n",
    "too little data": b"6\r\nhello\r\n0\r\n\r\n",
    "no end of a chunk": b"5\r\nhello0\r\n\r\n",
    "a bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "a bare CR after the data": b"5\r\nhello\r0\r\n\r\n",
    "two bytes for CRLF": b"5\r\nhelloXX0\r\n\r\n",
    "a bare LF after the last chunk": b"5\r\nhello\r\n0\n\r\n",
    "a bare LF ends the trailers": b"5\r\nhello\r\n0\r\n\n",
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nbad\r\n\r\n",
    "a trailer with a space before the colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "a NUL in a trailer": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    "a bare LF in a trailer": b"5\r\nhello\r\n0\r\nX: y\nz: w\r\n\r\n",
}


@pytest.mark.parametrize("case", BAD_CHUNKS)
class TestBadChunks:
    """A chunked body that breaks its rules."""

    HEAD = post(b"Transfer-Encoding: chunked")

    def test_with_the_head(self, case: str, client: Client, origin: Origin) -> None:
        """In one segment with it: refused like a bad head, nothing upstream."""
        client.send(self.HEAD + BAD_CHUNKS[case])
        check_refused(client)
        time.sleep(0.02)
        assert origin.heard == b""

    def test_after_good_chunks(self, case: str, client: Client, origin: Origin) -> None:
        """What has begun upstream is broken off there, never completed."""
        client.send(self.HEAD + chunk(b"good"))
        connection = origin.wait()
        client.send_what_is_taken(BAD_CHUNKS[case] + request("GET", "/behind"))
        check_refused(client)
        assert connection.gone.wait(2)
        assert [got.complete for got in origin.requests] == [False]


@pytest.mark.parametrize("name", [b"Content-Length", b"Host", b"Authorization"], ids=ascii)
def test_a_trailer_never_becomes_a_field_of_the_head(
    name: bytes, client: Client, origin: Origin
) -> None:
    """RFC 9110 section 6.5.1: refused, dropped, or kept a trailer."""
    body = b"5\r\nhello\r\n0\r\n" + name + b": 99\r\n\r\n"
    client.send(post(b"Transfer-Encoding: chunked", body=body) + request("GET", "/after"))
    if client.read().status == 200:
        assert origin.request().body == b"hello"
        assert b"99" not in values(origin.request().fields, name)
        assert client.read().status == 200
        assert origin.request(count=2).target == b"/after"


def big_head(size: int, field: int = 100) -> bytes:
    """A request head of exactly `size` bytes in fields of about `field` bytes."""
    head = bytearray(b"GET /big HTTP/1.1\r\nHost: a\r\n")
    number = 0
    while True:
        left = size - len(head) - 2
        line = b"X-%d: " % number
        if left < field + 40:
            head += line + b"v" * (left - len(line) - 2) + b"\r\n\r\n"
            return bytes(head)
        head += line + b"v" * (field - len(line) - 2) + b"\r\n"
        number += 1


class TestLargeHeads:
    """Up to 64 KiB pass, larger ones are 431."""

    @pytest.mark.parametrize(
        ("size", "field"),
        [(61440, 61000), (61440, 100), (61440, 24), (30000, 20), (65000, 30000), (65500, 64000)],
    )
    @pytest.mark.parametrize("cut", [0, 1400], ids=["at once", "in packets"])
    def test_up_to_the_limit_pass(
        self, cut: int, size: int, field: int, client: Client, origin: Origin
    ) -> None:
        """In one field or in a thousand."""
        data = big_head(size, field)
        assert len(data) == size
        client.drip(data, cut) if cut else client.send(data)
        assert client.read().status == 200
        sent = [tuple(line.split(b": ", 1)) for line in data.split(b"\r\n")[1:-2]]
        assert without(origin.request().fields, *ADDED) == sent

    def test_five_hundred_small_fields_pass(self, client: Client, origin: Origin) -> None:
        """There is no limit of their own."""
        fields = [b"X-%d: %d" % (number, number) for number in range(500)]
        assert client.ask(request("GET", "/", *fields)).status == 200
        assert len(origin.request().fields) >= 501

    def test_one_field_of_sixty_kib_passes(self, client: Client, origin: Origin) -> None:
        """A large token may take most of it."""
        token = b"t" * 61440
        assert client.ask(request("GET", "/", b"Authorization: Bearer " + token)).status == 200
        assert origin.request().values(b"authorization") == [b"Bearer " + token]

    @pytest.mark.parametrize("field", [66000, 100, 24, 5000])
    @pytest.mark.parametrize("cut", [0, 1400], ids=["at once", "in packets"])
    @pytest.mark.parametrize("size", [66500, 100_000, 300_000])
    def test_larger_ones_are_refused(
        self, size: int, cut: int, field: int, client: Client, origin: Origin
    ) -> None:
        """As 431, which the caller gets to read though it was still sending."""
        client.drip(big_head(size, field), cut or size)
        check_refused(client, 431)
        assert origin.heard == b""

    def test_one_that_never_ends_is_refused(self, client: Client, origin: Origin) -> None:
        """Long before its end."""
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ")
        client.drip(b"v" * 200_000, 10_000)
        check_refused(client, 431)
        assert origin.heard == b""

    def test_a_target_of_more_is_refused(self, client: Client, origin: Origin) -> None:
        """The request line counts."""
        client.send_what_is_taken(request("GET", "/" + "x" * 70_000))
        got = client.read()
        assert got.status in (414, 431)
        assert client.closed()
        assert origin.heard == b""

    def test_trailers_of_more_are_refused(self, client: Client, origin: Origin) -> None:
        """They are fields too, and memory."""
        client.send(post(b"Transfer-Encoding: chunked", body=b"0\r\n"))
        line = b"X-A: " + b"v" * 1000 + b"\r\n"
        client.drip(line * 300, len(line) * 10)
        got = client.read()
        assert 400 <= got.status < 500
        assert client.closed()
        assert [got.complete for got in origin.requests] in ([], [False])


def test_a_refusal_reaches_a_caller_that_is_still_sending(client: Client, origin: Origin) -> None:
    """Closing with unread bytes would reset the connection and lose it."""
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    client.wait_for_bytes()
    client.send_what_is_taken(b"x" * 1_000_000)
    assert client.read().status == 400
    assert origin.heard == b""
