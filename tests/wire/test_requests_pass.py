"""A request arrives upstream as it was sent, but for what a gateway must add and take away."""

from __future__ import annotations

import gzip

import pytest

from tests.support.client import Client, ask, request
from tests.support.expected import ADDED
from tests.support.message import values, without
from tests.support.origin import Origin, answer, reply
from tests.support.running import Shim

METHODS = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "M-SEARCH",
    "PURGE", "SOURCE", "DESCRIBE", "PLAY", "SETUP", "PRI", "FOO", "BREW", "foo", "get", "Delete",
    "connect", "X", "GETS", "GE", "POSTAL", "A!#$%&'*+-.^_`|~9", "0", "-", "A" * 64,
]  # fmt: skip


def odd_name(value: object) -> str:
    return ascii(value)[:30]


@pytest.mark.parametrize("method", METHODS)
class TestMethods:
    """Any token is a method, known or not."""

    def test_a_method_passes_as_it_was_sent(self, method: str, shim: Shim, origin: Origin) -> None:
        """First thing on a connection."""
        assert ask(shim.proxy, request(method, "/health")).status == 200
        assert origin.request().line == f"{method} /health HTTP/1.1".encode()

    def test_a_method_passes_on_a_connection_in_use(
        self, method: str, client: Client, origin: Origin
    ) -> None:
        """After another request, and with another after it."""
        assert client.ask(request("GET", "/first")).status == 200
        assert client.ask(request(method, "/second")).status == 200
        assert client.ask(request("GET", "/third")).status == 200
        assert [got.method for got in origin.requests] == [b"GET", method.encode(), b"GET"]

    def test_a_method_passes_byte_by_byte(
        self, method: str, client: Client, origin: Origin
    ) -> None:
        """However TCP cuts the request line."""
        client.drip(request(method, "/slow"))
        assert client.read(method).status == 200
        assert origin.request().line == f"{method} /slow HTTP/1.1".encode()


def test_unknown_methods_carry_bodies_and_pipeline(client: Client, origin: Origin) -> None:
    """An unknown method does not disturb the framing around it."""
    client.send(
        request("FOO", "/1", b"Content-Length: 3", body=b"abc")
        + request("BAR", "/2", b"Transfer-Encoding: chunked", body=b"3\r\ndef\r\n0\r\n\r\n")
        + request("BAZ", "/3")
    )
    assert [client.read().status for _ in range(3)] == [200, 200, 200]
    assert [(got.method, got.body) for got in origin.requests] == [
        (b"FOO", b"abc"), (b"BAR", b"def"), (b"BAZ", b""),
    ]  # fmt: skip


def test_the_answer_to_a_lower_case_head_may_have_a_body(client: Client, origin: Origin) -> None:
    """Methods are case-sensitive: `head` is not HEAD."""
    origin.script = reply(answer(200, b"body"))
    assert client.ask(request("head", "/")).body == b"body"


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/?", b"/a?b?c=/d", b"/%2F%2f%41%zz%", b"/%00%0d%0a", b"//invocations//x",
        b"/a/../b/./c/",
        b"/..", b"/a;b=c,d", b"/a+b?c+d=e%20f", b"/?a=1&a=2&&=", b"/caf\xc3\xa9?q=\xff\xfe",
        b"/a#b",
        b'/"<>[]{}|^`\\', b"/*", b"/?http://other.test/", b"/a:b@c", b"/query?" + b"x" * 20000,
        b"/" + b"d/" * 10000, b"/ui/index.html?v=1.2.3~!$&'()*,;=:@", b"/a?\x80", b"///",
        b"/?mode=kill",
    ],
    ids=odd_name,
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "FOO"])
def test_a_target_passes_byte_for_byte(
    method: str, target: bytes, client: Client, origin: Origin
) -> None:
    """Nothing is decoded, folded, escaped or tidied."""
    assert client.ask(request(method, target)).status == 200
    assert origin.request().target == target


FIELDS = [
    (b"accept", b"*/*"),
    (b"X-UPPER", b"One"),
    (b"x-lower", b"two"),
    (b"X-mIxEd-cAsE", b"three"),
    (b"x-lower", b"two again"),
    (b"Cookie", b"a=1"),
    (b"cookie", b"b=2"),
    (b"X-LOWER", b"in capitals"),
    (b"X-Empty", b""),
    (b"X-Latin", b"caf\xe9 \x80\xff"),
    (b"X-Utf8", "grüße".encode()),
    (b"X-Tabs", b"a\tb  c\t d"),
    (b"X-Quotes", b'"a, b"; c="\\""'),
    (b"!#$%&'*+-.^_`|~9", b"odd but a token"),
    (b"Under_Score", b"1"),
    (b"Authorization", b"Bearer abc.def.ghi"),
    (b"Accept-Encoding", b"gzip;q=0.5, *"),
    (b"Content-Type", b"application/JSON; Charset=UTF-8"),
    (b"If-None-Match", b'W/"x"'),
    (b"Range", b"bytes=0-1"),
    (b"Cache-Control", b"no-cache"),
    (b"Forwarded", b"for=_x"),
    (b"Origin", b"null"),
    (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"Max-Forwards", b"3"),
]


@pytest.mark.parametrize("dripped", [False, True], ids=["at once", "byte by byte"])
def test_fields_keep_casing_order_duplicates_and_bytes(
    dripped: bool, client: Client, origin: Origin
) -> None:
    """The list of fields upstream is the list that was sent."""
    data = request("GET", "/", *[name + b": " + value for name, value in FIELDS])
    client.drip(data) if dripped else client.send(data)
    assert client.read().status == 200
    got = without(origin.request().fields, *ADDED)
    assert got == [(b"Host", b"admin.test:9070"), *FIELDS]


@pytest.mark.parametrize(
    "name",
    ["Content-Type", "Content-Location", "Content-Encoding", "ETag", "User-Agent", "Authorization",
     "Date", "From", "Max-Forwards", "Referer", "Server", "Location", "Age", "Expires", "Cookie",
     "Last-Modified", "If-Modified-Since", "Retry-After", "Range", "Origin", "Accept", "Expect-CT"],
)  # fmt: skip
def test_a_field_meant_to_be_single_may_come_twice(
    name: str, client: Client, origin: Origin
) -> None:
    """It frames nothing: what to make of it is upstream's matter."""
    lines = [f"{name}: {value}".encode() for value in ("a", "b", "a")]
    assert client.ask(request("GET", "/", *lines)).status == 200
    assert origin.request().values(name.encode()) == [b"a", b"b", b"a"]


@pytest.mark.parametrize("value", [b"x", b" x", b"\tx\t", b"  x  ", b"x ", b" \t x"], ids=ascii)
def test_space_around_a_value_is_no_part_of_it(
    value: bytes, client: Client, origin: Origin
) -> None:
    """RFC 9112 section 5: optional whitespace."""
    assert client.ask(request("GET", "/", b"X-Value:" + value)).status == 200
    assert origin.request().values(b"x-value") == [b"x"]


@pytest.mark.parametrize(
    "host",
    [
        b"admin.test",
        b"ADMIN.test:9070",
        b"[::1]:80",
        b"127.0.0.1",
        b"",
        b"a_b",
        b"a:",
        b"[fe80::1%eth0]",
    ],
    ids=ascii,
)
def test_host_arrives_unchanged(host: bytes, client: Client, origin: Origin) -> None:
    """Restate sees the name that the caller used, even an empty one."""
    assert client.ask(request("GET", "/", host=host)).status == 200
    assert origin.request().values(b"host") == [host]


def test_host_may_come_last(client: Client, origin: Origin) -> None:
    """Its place in the head says nothing."""
    assert client.ask(request("GET", "/", b"X-A: 1", b"hOsT: h", host=None)).status == 200
    fields = without(origin.request().fields, *ADDED)
    assert fields == [(b"X-A", b"1"), (b"hOsT", b"h")]


def test_nothing_is_added_but_forwarded_fields_and_via(client: Client, origin: Origin) -> None:
    """No Accept, User-Agent, Accept-Encoding, Connection or Content-Type of the shim's own."""
    client.ask(request("GET", "/"))
    names = {name.lower() for name, _ in origin.request().fields}
    assert names == {b"host", *ADDED}


def test_a_post_without_a_body_gains_no_content_type(client: Client, origin: Origin) -> None:
    """`Content-Length: 0` is passed on and is all there is."""
    client.ask(request("POST", "/", b"Content-Length: 0"))
    names = {name.lower() for name, _ in origin.request().fields}
    assert names == {b"host", b"content-length", *ADDED}


def test_forwarded_fields_name_the_caller(client: Client, origin: Origin) -> None:
    """Address, scheme and host as the shim saw them, and its own Via."""
    client.ask(request("GET", "/"))
    got = origin.request()
    assert got.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert got.values(b"x-forwarded-proto") == [b"http"]
    assert got.values(b"x-forwarded-host") == [b"admin.test:9070"]
    via = got.values(b"via")
    assert len(via) == 1
    assert via[0].startswith(b"1.1 ")


@pytest.mark.parametrize(
    "fields",
    [
        [b"X-Forwarded-For: 10.0.0.1"],
        [b"X-Forwarded-For: 10.0.0.1, 10.0.0.2"],
        [b"x-forwarded-for: 10.0.0.1", b"X-FORWARDED-FOR: 10.0.0.2"],
    ],
    ids=["one", "list", "two fields"],
)
def test_the_callers_address_comes_after_those_already_there(
    fields: list[bytes], client: Client, origin: Origin
) -> None:
    """Earlier hops stay, in order."""
    client.ask(request("GET", "/", *fields))
    sent = b", ".join(line.split(b": ")[1] for line in fields)
    assert b", ".join(origin.request().values(b"x-forwarded-for")) == sent + b", 127.0.0.1"


def test_via_comes_after_those_already_there(client: Client, origin: Origin) -> None:
    """RFC 9110 section 7.6.3."""
    client.ask(request("GET", "/", b"Via: 1.0 fred"))
    via = b", ".join(origin.request().values(b"via"))
    assert via.startswith(b"1.0 fred, 1.1 ")


@pytest.mark.parametrize("name", ADDED, ids=ascii)
def test_a_caller_cannot_strip_what_the_shim_adds(
    name: bytes, client: Client, origin: Origin
) -> None:
    """`Connection: x-forwarded-for` must not hide a caller."""
    client.ask(request("GET", "/", b"Connection: " + name))
    assert origin.request().values(name)


HOP_BY_HOP = [
    ([b"Connection: keep-alive"], []),
    ([b"Connection: close"], []),
    ([b"Connection: X-Hop, keep-alive", b"X-Hop: 1"], []),
    ([b"X-Hop: 1", b"connection:x-HOP"], []),
    ([b"Connection: x-a", b"Connection: ,, x-b ,", b"X-A: 1", b"X-B: 2", b"X-C: 3"], [b"X-C"]),
    ([b"Keep-Alive: timeout=5"], []),
    ([b"Proxy-Connection: keep-alive"], []),
    ([b"TE: trailers, deflate;q=0.5"], []),
    ([b"Connection: te", b"te: gzip"], []),
    ([b"Upgrade: foo/2"], []),
    ([b"Connection: upgrade", b"Upgrade: websocket"], []),
    ([b"X-Connection: x", b"Connectionx: y"], [b"X-Connection", b"Connectionx"]),
]


@pytest.mark.parametrize(("sent", "left"), HOP_BY_HOP, ids=odd_name)
def test_fields_of_one_hop_stay_on_it(
    sent: list[bytes], left: list[bytes], client: Client, origin: Origin
) -> None:
    """RFC 9110 section 7.6.1: Connection, what it names, and what should have been named."""
    assert client.ask(request("GET", "/", *sent)).status == 200
    got = without(origin.request().fields, b"host", *ADDED)
    assert [name for name, _ in got] == left


@pytest.mark.parametrize("name", [b"host", b"content-length", b"transfer-encoding"], ids=ascii)
def test_connection_cannot_name_what_frames_or_routes(
    name: bytes, client: Client, origin: Origin
) -> None:
    """A message without its Host or its framing would be another message."""
    framing = b"Content-Length: 5"
    body = b"hello"
    if name == b"transfer-encoding":
        framing, body = b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"
    client.ask(request("POST", "/", b"Connection: " + name, framing, body=body))
    got = origin.request()
    assert got.body == b"hello"
    assert got.values(b"host") == [b"admin.test:9070"]


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"x-unknown"], ids=ascii)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_coded_body_passes_as_it_is(
    coding: bytes, chunked: bool, client: Client, origin: Origin
) -> None:
    """Nothing is decompressed, whether it could be or not."""
    body = gzip.compress(b"hello" * 100) if coding == b"gzip" else b"\x00not even coded\xff"
    if chunked:
        framing, sent = b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        framing, sent = b"Content-Length: %d" % len(body), body
    client.ask(request("POST", "/", b"Content-Encoding: " + coding, framing, body=sent))
    got = origin.request()
    assert got.body == body
    assert values(got.fields, b"content-encoding") == [coding]
