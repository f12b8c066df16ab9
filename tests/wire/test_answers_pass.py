"""An answer arrives downstream as upstream gave it; the shim adds nothing of its own."""

from __future__ import annotations

import gzip

import pytest

from tests.support.client import Client, request
from tests.support.message import without
from tests.support.origin import Origin, answer, drip, reply

FRAMING = (b"content-length", b"transfer-encoding", b"connection")


@pytest.mark.parametrize(
    "status",
    ["200 OK", "200 Very Well, Thank You", "200 ", "201 Created", "202 Accepted", "206 Partial",
     "226 IM", "299 Odd", "300 M", "301 Moved", "307 T", "400 Bad Request", "401 U", "404 Gone?",
     "405 M", "409 C", "418 I'm a teapot", "429 Slow \xe9", "451 L", "499 C", "500 Oops", "502 B",
     "503 S", "504 G", "511 N", "599 End"],
)  # fmt: skip
def test_status_and_reason_pass(status: str, client: Client, origin: Origin) -> None:
    """The reason phrase too, byte for byte."""
    origin.script = reply(answer(status, b"body"))
    got = client.ask(request())
    assert f"{got.status} {got.reason.decode('latin-1')}" == status
    assert got.body == b"body"


FIELDS = [
    (b"server", b"restate/1.6.2"),
    (b"X-UPPER", b"One"),
    (b"x-lower", b"two"),
    (b"Set-Cookie", b"a=1; Path=/"),
    (b"set-cookie", b"b=2, c=3"),
    (b"Set-Cookie", b"a=1; Path=/"),
    (b"X-Empty", b""),
    (b"X-Latin", b"caf\xe9 \x80\xff"),
    (b"X-Tabs", b"a\tb  c"),
    (b"content-type", b"application/JSON"),
    (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    (b"Vary", b"*"),
    (b"WWW-Authenticate", b'Basic realm="x", Bearer'),
    (b"Location", b"http://127.0.0.1:1/elsewhere"),
    (b"!#$%&'*+-.^_`|~9", b"odd"),
    (b"x-restate-id", b"inv_1"),
    (b"ETag", b'"x"'),
    (b"Allow", b""),
    (b"Via", b"1.1 upstream"),
]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("dripped", [False, True], ids=["at once", "byte by byte"])
def test_fields_keep_casing_order_duplicates_and_bytes(
    framing: str, dripped: bool, client: Client, origin: Origin
) -> None:
    """The list of fields downstream is the list upstream sent."""
    data = answer(200, b"body", *[name + b": " + value for name, value in FIELDS], framing=framing)
    origin.script = drip(data) if dripped else reply(data)
    got = client.ask(request())
    assert without(got.fields, *FRAMING) == FIELDS
    assert got.body == b"body"


@pytest.mark.parametrize("status", [200, 202, 204, 304, 404, 500])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "FOO"])
def test_nothing_is_added(method: str, status: int, client: Client, origin: Origin) -> None:
    """No Server, Date or Content-Type where upstream gave none."""
    framing = "none" if status in (204, 304) else "length"
    origin.script = reply(answer(status, b"", framing=framing))
    got = client.ask(request(method, "/", b"Content-Length: 0"))
    assert got.status == status
    assert without(got.fields, *FRAMING) == []


@pytest.mark.parametrize(
    "fields",
    [
        [b"Connection: close"],
        [b"Connection: keep-alive", b"Keep-Alive: timeout=5, max=3"],
        [b"Connection: X-Hop", b"X-Hop: 1"],
        [b"Upgrade: h2c"],
        [b"Connection: upgrade", b"Upgrade: h2c"],
        [b"Proxy-Connection: close"],
    ],
    ids=ascii,
)
def test_fields_of_one_hop_stay_on_it(fields: list[bytes], client: Client, origin: Origin) -> None:
    """And upstream's connection is not the caller's: that one stays open."""
    origin.script = reply(answer(200, b"one", b"X-End: 1", *fields))
    got = client.ask(request())
    assert without(got.fields, b"content-length") == [(b"X-End", b"1")]
    assert client.ask(request()).body == b"one"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_coded_body_passes_as_it_is(framing: str, client: Client, origin: Origin) -> None:
    """Content codings are between caller and Restate."""
    body = gzip.compress(b"hello" * 1000)
    origin.script = reply(answer(200, body, b"Content-Encoding: gzip", framing=framing))
    got = client.ask(request("GET", "/", b"Accept-Encoding: gzip"))
    assert got.values(b"content-encoding") == [b"gzip"]
    assert got.body == body


def test_a_large_head_passes(client: Client, origin: Origin) -> None:
    """As large as a request's may be."""
    fields = [b"X-%d: %s" % (number, b"v" * 100) for number in range(300)]
    origin.script = reply(answer(200, b"body", b"X-Big: " + b"b" * 20000, *fields))
    got = client.ask(request())
    assert len(got.fields) == 302
    assert got.body == b"body"


CHUNKED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\ntransfer-encoding: chunked\r\ndate: now\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        # The server's own form: capitals in the size, the field before the date.
        (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", None),
        (CHUNKED + b"0\r\n\r\n", None),
        (CHUNKED + b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", b"a\r\nhelloworld\r\n0\r\n\r\n"),
        # Extensions and trailers are of one hop: RFC 9112 section 7.1.1, RFC 9110 section 6.5.1.
        (CHUNKED + b"5;a=b\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKED + b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKED + b"05\r\nhello\r\n0\r\n\r\n", None),
    ],
)
def test_one_chunk_passes_byte_for_byte_and_others_mean_the_same(
    said: bytes, heard: bytes | None, client: Client, origin: Origin
) -> None:
    # Its field went to the end of the head, and its size was written anew.
    origin.script = reply(said)
    client.ask(request())
    expected = said if heard is None else CHUNKED + heard
    assert bytes(client.reader.seen) == expected


def test_chunks_pass_though_the_connection_field_names_their_coding(
    client: Client, origin: Origin
) -> None:
    origin.script = reply(
        CHUNKED.replace(b"X-A: 1", b"Connection: transfer-encoding") + b"0\r\n\r\n"
    )
    got = client.ask(request())
    assert got.values(b"transfer-encoding") == [b"chunked"]
    assert (got.body, got.complete) == (b"", True)
