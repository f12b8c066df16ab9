"""Callers that speak HTTP/2 get what they would over HTTP/1.1, and leave the same on record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame

from tests.support import http2
from tests.support.certificates import Certificates
from tests.support.client import Client, ask, request
from tests.support.http2 import ordinary
from tests.support.message import Field, SilentError, chunks, without
from tests.support.metrics import of, samples
from tests.support.origin import (
    Connection,
    Origin,
    Received,
    Script,
    answer,
    break_off,
    hang,
    reply,
    reply_and_close,
)
from tests.support.running import Event, Shim
from tests.support.waiting import settled

INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, CANCEL = 2, 0, 7, 8
JSON = b"Content-Type: application/json"
NOT_FOUND = answer(404, b'{"message":"No such invocation","restate_code":null}', JSON)
HOP = (b"connection", b"transfer-encoding")


@pytest.fixture
def caller(shim: Shim, origin: Origin) -> Iterator[http2.Client]:
    """A connection over HTTP/2 to the shared shim."""
    with http2.Client(shim.proxy) as caller:
        yield caller


Asked = tuple[str, str, tuple[Field, ...], bytes | None]
REQUESTS: dict[str, Asked] = {
    "a plain one": ("GET", "/services", ((b"accept", b"*/*"),), None),
    "an odd method": ("FOO", "/a?b=%20c", (), None),
    "a HEAD": ("HEAD", "/services", (), None),
    "an asterisk": ("OPTIONS", "*", (), None),
    "a query": ("POST", "/query", ((b"content-type", b"application/json"),), b'{"query":"x"}'),
    "an empty body": ("POST", "/deployments", (), b""),
    "an old call": ("DELETE", "/invocations/inv_1?mode=kill", ((b"user-agent", b"old/1"),), None),
    "an old call with a body": ("DELETE", "/v2/invocations/inv_1", (), b"ignored"),
    "an old call that is wrong": ("DELETE", "/invocations/inv_1?mode=KILL", (), None),
    "a new call": ("PATCH", "/invocations/inv_1/kill", (), None),
    "a near miss": ("POST", "/invocations/inv_1/kill", (), None),
    "the shim's own fields": (
        "GET",
        "/a",
        (
            (b"x-forwarded-for", b"192.0.2.7"),
            (b"x-forwarded-proto", b"https"),
            (b"x-request-id", b"r1"),
            (b"via", b"1.1 gate"),
            (b"te", b"trailers"),
            (b"cookie", b"a=1; b=2"),
        ),
        None,
    ),
}
SCRIPTS: dict[str, Script] = {
    "nothing": reply(answer(200)),
    "some": reply(answer(200, b"some", b"Content-Type: text/plain", b"X-A: 1", b"x-a: 2")),
    "chunks": reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"a", b"bc")),
    "until it closes": reply_and_close(
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\nall of it"
    ),
    "much": reply(answer(200, b"x" * 300_000)),
    "204": reply(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "404": reply(NOT_FOUND),
    "500": reply(answer(500, b"oh")),
    "no answer": break_off,
    "an answer that cannot be read": reply(b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n"),
}


def over_1(shim: Shim, asked: Asked) -> tuple[int, set[Field], bytes]:
    method, path, fields, body = asked
    lines = [b"%b: %b" % one for one in fields]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    with Client(shim.proxy) as client:
        got = client.ask(request(method, path, *lines, body=body or b""))
    assert got.complete
    return got.status, comparable(got.fields), got.body


def over_2(shim: Shim, asked: Asked) -> tuple[int, set[Field], bytes]:
    method, path, fields, body = asked
    if body is not None:
        fields = (*fields, (b"content-length", b"%d" % len(body)))
    with http2.Client(shim.proxy) as caller:
        got = caller.ask(method, path, *fields, body=body or b"")
    assert got.complete
    assert not [name for name, _ in got.fields if name in HOP or name != name.lower()]
    return got.status, comparable(got.fields), got.body


def comparable(fields: list[Field]) -> set[Field]:
    return {(name.lower(), value) for name, value in without(fields, *HOP)}


def reached(origin: Origin, count: int) -> tuple[bytes, list[Field], bytes, str]:
    """What upstream got, less what says over which version it came."""
    got = origin.request(count=count)
    names = [(name.lower(), value) for name, value in got.fields]
    return got.line, [one for one in names if one[0] != b"via"], got.body, got.framing


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_a_request_gets_the_same_answer_over_either_version(
    asked: Asked, script: str, shim: Shim, origin: Origin
) -> None:
    def as_asked(connection: Connection, received: Received) -> None:
        if received.method == b"HEAD":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        else:
            SCRIPTS[script](connection, received)

    origin.script = as_asked
    first = over_1(shim, asked)
    count = len(origin.requests)
    assert over_2(shim, asked) == first
    assert len(origin.requests) == 2 * count
    for number in range(1, count + 1):
        assert reached(origin, count + number) == reached(origin, number)


def test_what_upstream_gets_says_over_which_version_it_came(
    caller: http2.Client, origin: Origin
) -> None:
    caller.ask("GET", "/a", (b"via", b"1.0 gate"))
    got = origin.request()
    assert got.values(b"via") == [b"1.0 gate", b"2.0 restate-shim"]
    assert got.fields[0] == (b"Host", b"admin.test:9070")


# Refused over both: with the message that HTTP/1.1 has for it, where it has the same fault.
GET = ordinary("GET", "/bad")
REFUSED: dict[str, tuple[list[Field], int]] = {
    "no :method": (GET[1:], 400),
    "no :path": (GET[:3], 400),
    "an empty :path": ([*GET[:3], (b":path", b"")], 400),
    "a :path with a space": ([*GET[:3], (b":path", b"/bad bad")], 400),
    "a :path without its slash": (ordinary("GET", "bad"), 400),
    "an absolute :path": (ordinary("GET", "http://a/bad"), 400),
    "an asterisk for GET": (ordinary("GET", "*"), 400),
    "no :scheme": ([GET[0], *GET[2:]], 400),
    "another :scheme": ([GET[0], (b":scheme", b"ftp"), *GET[2:]], 400),
    "no host": ([*GET[:2], GET[3]], 400),
    "two hosts": ([*GET[:2], GET[3], (b"host", b"a"), (b"host", b"a")], 400),
    "another host": ([*GET, (b"host", b"other.test")], 400),
    "a host that is none": (ordinary("GET", "/bad", "a,b"), 400),
    "a host with userinfo": (ordinary("GET", "/bad", "u@a"), 400),
    "two :paths": ([*GET, (b":path", b"/bad")], 400),
    "a pseudo-header field behind others": ([*GET[:3], (b"a", b"b"), GET[3]], 400),
    "an unknown pseudo-header field": ([*GET, (b":version", b"2")], 400),
    "one of an answer": ([*GET, (b":status", b"200")], 400),
    "CONNECT": ([(b":method", b"CONNECT"), (b":authority", b"a:443")], 405),
    "CONNECT to a path": (ordinary("CONNECT", "/bad"), 405),
    "a WebSocket": ([*ordinary("CONNECT", "/bad"), (b":protocol", b"websocket")], 400),
    "a method that is none": (ordinary("GE T", "/bad"), 400),
    **{
        f"the field {name!r}": ([*GET, (name, b"close")], 400)
        for name in (
            *(b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"),
            *(b"Upper", b"", b"a b", b"a:b", b"a\x00", b"\xe4"),
        )
    },
    **{
        f"the value {value!r}": ([*GET, (b"a", value)], 400)
        for value in (b"\x00", b"a\rb", b"a\nb", b"a\r\nb: c", b" a", b"a\t", b"\x7f")
    },
    "te: gzip": ([*GET, (b"te", b"gzip")], 400),
    "two lengths": ([*GET, (b"content-length", b"1"), (b"content-length", b"2")], 400),
    "a length that is none": ([*GET, (b"content-length", b"+1")], 400),
    "a length without a body": ([*GET, (b"content-length", b"1")], 400),
    "a head that is too large": ([*GET, *[(b"a%d" % n, b"x" * 9000) for n in range(8)]], 431),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_is_wrong_is_refused_and_the_others_go_on(
    fields: list[Field], status: int, caller: http2.Client, origin: Origin
) -> None:
    before = caller.open("GET", "/good", end=False)
    number, frame = caller.head(*fields)
    caller.send(*in_pieces(frame))
    got = caller.answer(number)
    assert got.status == status
    assert got.values(b"content-type") == [b"application/json"]
    caller.data(before, b"", end=True)
    assert caller.answer(before).status == 200
    assert caller.ask("GET", "/good").status == 200
    assert {one.target for one in origin.requests} == {b"/good"}


def in_pieces(frame: HeadersFrame, size: int = 16_000) -> list[Any]:
    """The same header section in frames of so many bytes."""
    data = frame.data
    if len(data) <= size:
        return [frame]
    frame.data = data[:size]
    frame.flags.discard("END_HEADERS")
    rest = [data[at : at + size] for at in range(size, len(data), size)]
    more = [ContinuationFrame(frame.stream_id, piece) for piece in rest]
    more[-1].flags.add("END_HEADERS")
    return [frame, *more]


BAD_BODIES: dict[str, tuple[tuple[Field, ...], list[bytes], list[Field] | None]] = {
    "shorter than its length": (((b"content-length", b"3"),), [b"ab"], None),
    "longer than its length": (((b"content-length", b"3"),), [b"ab", b"cd"], None),
    "longer than nothing": (((b"content-length", b"0"),), [b"a"], None),
    "with a trailer that is none": ((), [b"ab"], [(b"A", b"b")]),
    "with a pseudo-header field behind it": ((), [b"ab"], [(b":path", b"/")]),
}


@pytest.mark.parametrize(("fields", "parts", "trailers"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_wrong_never_looks_whole_to_upstream(
    fields: tuple[Field, ...],
    parts: list[bytes],
    trailers: list[Field] | None,
    caller: http2.Client,
    origin: Origin,
) -> None:
    stream = caller.open("POST", "/bad", *fields, end=False)
    for part in parts[:-1]:
        caller.data(stream, part)
    caller.data(stream, parts[-1], end=trailers is None)
    if trailers is not None:
        caller.send(caller.head(*trailers, stream=stream)[1])
    got = caller.answer(stream)
    assert got.status in (200, 400)
    assert got.status == 400 or fields == ((b"content-length", b"0"),)
    assert caller.ask("GET", "/good").status == 200
    whole = [one for one in origin.requests if one.target == b"/bad" and one.complete]
    assert all(one.body == b"" and one.framing == "length" for one in whole)


@pytest.mark.parametrize("trailers", [[], [(b"x-checksum", b"1")]])
def test_a_body_of_unknown_length_goes_up_in_chunks(
    trailers: list[Field], caller: http2.Client, origin: Origin
) -> None:
    """Trailers go no further, as over HTTP/1.1."""
    stream = caller.open("POST", "/up", end=False)
    received = origin_head(origin)
    assert received.values(b"transfer-encoding") == [b"chunked"]
    caller.data(stream, b"some ")
    caller.data(stream, b"more", end=not trailers)
    if trailers:
        caller.send(caller.head(*trailers, stream=stream)[1])
    assert caller.answer(stream).status == 200
    assert (origin.request().body, origin.request().trailers) == (b"some more", [])


def origin_head(origin: Origin) -> Received:
    origin.wait()
    return origin.requests[0]


def test_cookies_that_were_split_are_one_field_upstream(
    caller: http2.Client, origin: Origin
) -> None:
    caller.ask("GET", "/", (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"))
    assert origin.request().values(b"cookie") == [b"a=1; b=2"]


@pytest.mark.parametrize("authority", [b"admin.test:9070", b"ADMIN.test:9070", None])
def test_a_host_beside_the_authority_is_sent_once(
    authority: bytes | None, caller: http2.Client, origin: Origin
) -> None:
    pseudo = [one for one in ordinary() if one[0] != b":authority"]
    pseudo += [] if authority is None else [(b":authority", authority)]
    number, frame = caller.head(*pseudo, (b"host", b"admin.test:9070"))
    caller.send(frame)
    assert caller.answer(number).status == 200
    assert origin.request().values(b"host") == [authority or b"admin.test:9070"]


def test_interim_answers_pass(caller: http2.Client, origin: Origin) -> None:
    def script(connection: Connection, received: Received) -> None:
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\nConnection: x\r\n\r\n")
        connection.send(answer(200, connection.read_body(received)))

    origin.script = script
    stream = caller.open("POST", "/", (b"expect", b"100-continue"), end=False)
    while not caller.answers[stream].informational:
        caller.read()
    caller.data(stream, b"now", end=True)
    got = caller.answer(stream)
    assert got.informational == [(100, []), (103, [(b"link", b"<a>")])]
    assert (got.status, got.body) == (200, b"now")
    assert origin.request().values(b"expect") == [b"100-continue"]


def test_many_streams_share_a_connection(caller: http2.Client, origin: Origin) -> None:
    """All at once, and each gets its own answer, whatever the order."""
    barrier = threading.Barrier(50)

    def script(connection: Connection, received: Received) -> None:
        barrier.wait(5)
        connection.send(answer(200, received.target * 1000))

    origin.script = script
    streams = [caller.open("GET", f"/{number}") for number in range(50)]
    for number, stream in enumerate(streams):
        assert caller.answer(stream).body == b"/%d" % number * 1000


# How it begins


def test_the_preface_may_come_in_pieces(shim: Shim, origin: Origin) -> None:
    with http2.Client(shim.proxy, greets=False) as caller:
        number, frame = caller.head(*ordinary())
        empty_settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        for byte in http2.PREFACE + empty_settings + frame.serialize():
            caller.send_bytes(bytes([byte]))
        assert caller.answer(number).status == 200


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("method", ["POST", "PRI", "P", "PRINT"])
def test_what_begins_like_the_preface_may_be_a_request_over_http_1(
    method: str, size: int, shim: Shim, origin: Origin
) -> None:
    with Client(shim.proxy) as client:
        client.drip(request(method, "/"), size)
        assert client.read(method).status == 200
    assert origin.requests[0].method == method.encode()


def test_http_2_by_alpn_and_on_a_unix_socket(
    own_origin: Origin,
    start: Callable[..., Shim],
    certificates: Certificates,
    tmp_path: object,
) -> None:
    tls = start(
        "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
    )
    context = certificates.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with http2.Client(tls.proxy, tls=context) as caller:
        assert caller.ask("GET", "/tls").status == 200
    assert own_origin.requests[0].values(b"x-forwarded-proto") == [b"https"]
    unix = start(listen=f"unix:{tmp_path}/s", upstream=own_origin.url)
    with http2.Client(unix.proxy) as caller:
        assert caller.ask("GET", "/unix").status == 200
    assert own_origin.request(count=2).values(b"x-forwarded-for") == [b"unknown"]


def test_after_alpn_agreed_on_http_2_nothing_else_is_spoken(
    own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
) -> None:
    shim = start(
        "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
    )
    context = certificates.client()
    context.set_alpn_protocols(["h2"])
    with http2.Client(shim.proxy, tls=context, greets=False) as caller:
        caller.send_bytes(request())
        assert caller.goodbye().error_code == 1
    assert not own_origin.requests


def test_an_upgrade_to_http_2_is_ignored(client: Client, origin: Origin) -> None:
    """As Java's HttpClient asks for it, whose answer then comes over HTTP/1.1."""
    got = client.ask(
        request(
            "POST",
            "/query",
            b"Connection: Upgrade, HTTP2-Settings",
            b"Content-Length: 2",
            b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA",
            b"Upgrade: h2c",
            b"User-Agent: Java-http-client/21.0.1",
            body=b"{}",
        )
    )
    assert (got.version, got.status) == (b"HTTP/1.1", 200)
    received = origin.request()
    assert received.body == b"{}"
    for name in (b"upgrade", b"connection", b"http2-settings"):
        assert not received.values(name)
    assert client.ask(request()).status == 200


# The record


def comparable_use(use: Event) -> Event:
    passing = {"id", "timestamp", "duration_ms"}
    return {key: value for key, value in use.items() if key not in passing}


@pytest.mark.parametrize("phase", ["observe", "translate", "reject"])
@pytest.mark.parametrize(
    "script", [reply(answer(200)), reply(NOT_FOUND), break_off], ids=["200", "404", "nothing"]
)
def test_an_old_call_leaves_the_same_on_record(
    phase: str, script: Script, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--phase", phase, upstream=own_origin.url)
    own_origin.script = script
    target = "/v2/invocations/inv_1?mode=kill&token=x"
    named = ((b"user-agent", b"restate-cli/1.4.0 linux-x86_64"), (b"x-request-id", b"r1"))
    first = over_1(shim, ("DELETE", target, named, None))
    assert over_2(shim, ("DELETE", target, named, None)) == first
    one, other = shim.uses_by("restate-cli/1.4.0 linux-x86_64", 2)
    assert comparable_use(one) == comparable_use(other)


@pytest.mark.parametrize("asked", ["refused", "too large", "near miss"])
def test_what_is_refused_or_missed_leaves_the_same_on_record(
    asked: str, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--max-body", "1000", upstream=own_origin.url)
    named = (b"user-agent", b"old/1")
    body: bytes | None = None
    if asked == "near miss":
        method, target, event = "POST", "/invocations/inv_1/kill", "migration_near_miss"
    else:
        method, target, event = "DELETE", "/invocations/inv_1?mode=kill", "deprecated_route_used"
    if asked == "too large":
        body = b"x" * 2000
    with Client(shim.proxy) as client:
        lines = [b"User-Agent: old/1"]
        lines += [b"Host: b"] if asked == "refused" else []
        lines += [b"Content-Length: 2000"] if body else []
        client.send_what_is_taken(request(method, target, *lines, body=body or b""))
        status = client.read().status
    first = shim.event(event)
    with http2.Client(shim.proxy) as caller:
        fields = [named, *([(b"host", b"b")] if asked == "refused" else [])]
        fields += [(b"content-length", b"2000")] if body else []
        stream = caller.open(method, target, *fields, end=body is None)
        if body:
            caller.data(stream, body, end=True)
        assert caller.answer(stream).status == status
    second = shim.event(event, where=lambda one: one["id"] != first["id"])
    if asked == "refused":
        assert (first.pop("error"), second.pop("error")) == (
            "A request must have one Host field; this one has 2",
            "The fields :authority and host name different hosts",
        )
    assert comparable_use(first) == comparable_use(second)


def test_each_request_is_counted_once(own_origin: Origin, start: Callable[..., Shim]) -> None:
    shim = start(upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        for path in ("/a", "/b", "/health"):
            caller.ask("GET", path)
        caller.ask("DELETE", "/invocations/inv_1")
        text = ask(shim.ops, request("GET", "/metrics")).body.decode()
        assert of(samples(text), "connections") == 1
    shim.terminate()
    assert shim.event("stopped")["requests"] == 3


# Ends


def test_an_answer_that_breaks_off_ends_in_a_reset(caller: http2.Client, origin: Origin) -> None:
    """Never in the end of its stream; the others go on."""

    def script(connection: Connection, received: Received) -> None:
        if received.target == b"/broken":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            connection.close()
        else:
            connection.send(answer(200, b"whole"))

    origin.script = script
    got = caller.answer(caller.open("GET", "/broken"))
    assert (got.status, got.complete, got.reset) == (200, False, INTERNAL_ERROR)
    assert caller.ask("GET", "/whole").body == b"whole"


@pytest.mark.parametrize("leaves", ["reset", "close", "goaway and close"])
def test_a_caller_that_gives_up_ends_what_upstream_does_for_it(
    leaves: str, shim: Shim, origin: Origin
) -> None:
    origin.script = hang
    with http2.Client(shim.proxy) as caller:
        stream = caller.open("GET", "/slow")
        connection = origin.wait()
        if leaves == "reset":
            caller.reset(stream)
        else:
            caller.close()
        assert connection.gone.wait(5)
        if leaves == "reset":
            origin.script = reply(answer(200))
            assert caller.ask("GET", "/next").status == 200
    assert shim.event("caller_left")["client_address"] == "127.0.0.1"


def test_an_old_call_takes_effect_though_its_caller_gives_up(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """As over HTTP/1.1: it is seen through, and what became of it is on record."""
    go = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        assert go.wait(5)
        connection.send(answer(200))

    own_origin.script = script
    shim = start(upstream=own_origin.url)
    with http2.Client(shim.proxy) as caller:
        stream = caller.open("DELETE", "/invocations/inv_gone?mode=kill")
        own_origin.wait()
        caller.reset(stream)
        caller.settle()
        go.set()
        use = shim.use("inv_gone")
    assert (use["decision"], use["status"], use["upstream_status"]) == ("translated", 202, 200)


def test_what_is_left_of_a_body_is_not_waited_for(caller: http2.Client, origin: Origin) -> None:
    """RFC 9113 section 8.1: the answer is whole, and the stream reset without an error."""
    origin.script = lambda connection, _: connection.send(answer(413, b"too much"))
    stream = caller.open("POST", "/", (b"content-length", b"1000000"), end=False)
    got = caller.answer(stream)
    assert (got.status, got.body, got.complete) == (413, b"too much", True)
    while got.reset is None:
        caller.read()
    assert got.reset == NO_ERROR
    caller.data(stream, b"too late")
    assert caller.ask("GET", "/").status == 413


def test_a_caller_that_says_goodbye_gets_the_answers_it_waits_for(
    caller: http2.Client, origin: Origin
) -> None:
    go = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        assert go.wait(5)
        connection.send(answer(200, received.target))

    origin.script = script
    streams = [caller.open("GET", f"/{number}") for number in range(3)]
    caller.send_bytes(b"\x00\x00\x08\x07\x00" + b"\x00" * 12)
    caller.settle()
    go.set()
    assert [caller.answer(stream).body for stream in streams] == [b"/0", b"/1", b"/2"]
    assert caller.read() is None


# Flow control


def test_an_answer_waits_for_its_stream_s_window_and_for_the_connection_s(
    shim: Shim, origin: Origin
) -> None:
    origin.script = reply(answer(200, b"x" * 200_000))
    with http2.Client(shim.proxy, holds=True, settings={4: 1000}) as caller:
        one, other = caller.open("GET", "/1"), caller.open("GET", "/2")
        caller.settle()
        while len(caller.answers[one].body) + len(caller.answers[other].body) < 2000:
            caller.read()
        caller.settle()
        assert [len(caller.answers[stream].body) for stream in (one, other)] == [1000, 1000]
        caller.give(one, 100_000)
        while len(caller.answers[one].body) < 65_535 - 1000:
            caller.read()
        caller.settle()
        assert len(caller.answers[one].body) == 65_535 - 1000
        caller.give(0, 1_000_000)
        caller.give(other, 300_000)
        assert len(caller.answer(other).body) == 200_000
        caller.give(one, 300_000)
        assert len(caller.answer(one).body) == 200_000


def test_a_body_that_upstream_does_not_take_is_held_back(shim: Shim, origin: Origin) -> None:
    """The window of its stream is given back as upstream reads, and others have theirs."""
    go = threading.Event()

    def script(connection: Connection, received: Received) -> None:
        if received.target == b"/slow":
            assert go.wait(10)
        connection.send(answer(200, b"%d" % len(connection.read_body(received))))

    origin.script = script
    size = 20_000_000
    with http2.Client(shim.proxy) as caller:
        stream = caller.open("POST", "/slow", (b"content-length", b"%d" % size), end=False)

        def send_on(sent: int) -> int:
            """Send as much as the stream's window lets; return how much it is in all."""
            while sent < size:
                window = 65_535 + caller.given(stream) - sent
                if window > 0:
                    part = min(16_384, window, size - sent)
                    caller.data(stream, b"x" * part, end=sent + part == size)
                    sent += part
                else:
                    caller.read(within=1)
            return sent

        sent = 0
        with pytest.raises(SilentError):
            sent = send_on(sent)
        sent = 65_535 + caller.given(stream)
        assert sent < 12_000_000, "nobody has taken it yet"
        assert caller.ask("POST", "/quick", body=b"y" * 50_000).body == b"50000"
        go.set()
        assert send_on(sent) == size
        assert caller.answer(stream).body == b"%d" % size


def test_no_more_is_read_from_upstream_than_the_caller_takes(shim: Shim, origin: Origin) -> None:
    sent = [0]

    def script(connection: Connection, received: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            connection.send(b"x" * 1_000_000)
            sent[0] += 1_000_000

    origin.script = script
    with http2.Client(shim.proxy, deadline=20, holds=True) as caller:
        before = shim.memory()
        stream = caller.open()
        assert settled(lambda: sent[0]) < 20_000_000
        assert shim.memory() - before < 8_000_000
        caller.holds = False
        caller.give(0, 65_535)
        caller.give(stream, 65_535)
        assert len(caller.answer(stream).body) == 50_000_000


def test_a_head_may_be_large(caller: http2.Client, origin: Origin) -> None:
    """One field, a token, may take most of it."""
    number, frame = caller.head(*ordinary(), (b"authorization", b"x" * 60_000))
    caller.send(*in_pieces(frame))
    assert caller.answer(number).status == 200
    assert origin.request().values(b"authorization") == [b"x" * 60_000]


def test_padding_is_given_back(caller: http2.Client, origin: Origin) -> None:
    # It counts against the windows, and nobody reads it.
    stream = caller.open("POST", "/", end=False)
    for _ in range(300):
        frame = DataFrame(stream, b"x", pad_length=255, flags=["PADDED"])
        caller.send(frame)
        caller.settle()
    caller.data(stream, b"", end=True)
    assert caller.answer(stream).status == 200
    assert origin.request().body == b"x" * 300
