"""The old call on the wire: what upstream gets for it and what the caller is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from tests.support.client import Answer, Client, ask, request
from tests.support.expected import ADDED
from tests.support.message import without
from tests.support.origin import Connection, Origin, Received, Script, answer, reply
from tests.support.running import Shim

JSON = b"content-type: application/json"
NOT_FOUND = b'{"message":"The requested invocation \'x\' does not exist","restate_code":null}'
COMPLETED = b'{"message":"The invocation \'x\' was already completed.","restate_code":null}'
STATUS = b"x-restate-shim-upstream-status"


@pytest.mark.parametrize(
    ("target", "replacement"),
    [
        ("/invocations/inv_1", "/invocations/inv_1/cancel"),
        ("/invocations/inv_1?", "/invocations/inv_1/cancel"),
        ("/invocations/inv_1?mode=cancel", "/invocations/inv_1/cancel"),
        ("/invocations/inv_1?mode=Cancel", "/invocations/inv_1/cancel"),
        ("/invocations/inv_1?mode=kill", "/invocations/inv_1/kill"),
        ("/invocations/inv_1?mode=Kill", "/invocations/inv_1/kill"),
        ("/invocations/inv_1?mode=purge", "/invocations/inv_1/purge"),
        ("/invocations/inv_1?mode=Purge", "/invocations/inv_1/purge"),
        ("/invocations/inv_1?mode=%6bill", "/invocations/inv_1/kill"),
        ("/invocations/inv_1?%6dode=kill", "/invocations/inv_1/kill"),
        ("/invocations/inv_1?foo=bar", "/invocations/inv_1/cancel"),
        ("/invocations/inv_1?Mode=kill", "/invocations/inv_1/cancel"),
        ("/invocations/inv_1?foo=bar&mode=kill&&x", "/invocations/inv_1/kill"),
        ("/v2/invocations/inv_1?mode=kill", "/v2/invocations/inv_1/kill"),
        ("/v3/invocations/inv_1", "/v3/invocations/inv_1/cancel"),
        ("/v17/invocations/inv_1", "/v17/invocations/inv_1/cancel"),
        ("/invocations/a%2Fb%2e%2E?mode=kill", "/invocations/a%2Fb%2e%2E/kill"),
        ("/invocations/a%20b;c=d@:!$&'()*+,?mode=kill", "/invocations/a%20b;c=d@:!$&'()*+,/kill"),
        ("http://other.test/invocations/inv_1?mode=kill", "/invocations/inv_1/kill"),
    ],
)
def test_the_old_call_becomes_the_new_one(
    target: str, replacement: str, client: Client, origin: Origin
) -> None:
    """Method and target are rewritten, to the byte; the caller gets 202 and no body."""
    got = client.ask(request("DELETE", target))
    assert (got.status, got.body) == (202, b"")
    assert [one.line.decode() for one in origin.requests] == [f"PATCH {replacement} HTTP/1.1"]


@pytest.mark.parametrize(
    "line",
    [
        "DELETE /invocations", "DELETE /invocations/", "DELETE /invocations/x/",
        "DELETE //invocations/x", "DELETE /invocations//x", "DELETE /Invocations/x",
        "DELETE /invocation%73/x", "DELETE /invocations/a/b?mode=kill", "DELETE /v1/invocations/x",
        "DELETE /v/invocations/x", "DELETE /vx/invocations/x", "DELETE /v2/v2/invocations/x",
        "DELETE /deployments/x", "DELETE /services/x/state?mode=kill", "DELETE /",
        "delete /invocations/x?mode=kill", "GET /invocations/x?mode=kill",
        "POST /invocations/x?mode=kill", "PATCH /invocations/x/kill?mode=purge",
        "HEAD /invocations/x", "FOO /invocations/x", "DELETE /invocations/x/kill",
        "PUT /invocations/x/cancel", "POST /v2/invocations/x/purge", "DELETE /x/../invocations/y",
        "DELETE /ui/invocations/x", "DELETE /query?/invocations/x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_not_the_old_call_passes_untouched(
    status: int, line: str, client: Client, origin: Origin
) -> None:
    """Close to it or not, and so does its answer."""
    method, target = line.split(" ")
    origin.script = reply(answer(status, b"" if method == "HEAD" else b"as it was", b"X-A: 1"))
    got = client.ask(request(method, target))
    assert (got.status, got.body) == (status, b"" if method == "HEAD" else b"as it was")
    assert without(got.fields, b"content-length") == [(b"X-A", b"1")]
    assert [one.line.decode() for one in origin.requests] == [f"{line} HTTP/1.1"]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/invocations/nm1/kill"), ("DELETE", "/invocations/nm2/purge"),
        ("PUT", "/v2/invocations/nm3/cancel"), ("DELETE", "/invocations/nm4/b"),
        ("DELETE", "/v1/invocations/nm5"),
    ],
)  # fmt: skip
def test_a_near_miss_is_recorded(
    method: str, target: str, client: Client, origin: Origin, shim: Shim
) -> None:
    """Somebody is migrating wrongly: the team wants to know who."""
    client.ask(request(method, target + "?token=NEARSECRET", b"Authorization: Bearer NEARSECRET"))
    name = target.split("/nm")[1][0]
    shim.event("migration_near_miss", where=lambda event: f"nm{name}" in json.dumps(event))
    assert b"NEARSECRET" not in shim.stdout


def test_the_fields_of_the_old_call_go_along(client: Client, origin: Origin) -> None:
    """Credentials, tracing and names of callers, as for any other request."""
    fields = [
        (b"authorization", b"Bearer abc"), (b"X-Client-Id", b"ci-1"), (b"User-Agent", b"curl/8"),
        (b"Accept", b"*/*"), (b"traceparent", b"00-1-2-01"), (b"X-a", b"1"), (b"x-A", b"2"),
    ]  # fmt: skip
    client.ask(request("DELETE", "/invocations/x", *[n + b": " + v for n, v in fields]))
    got = without(origin.request().fields, b"content-length", *ADDED)
    assert got == [(b"Host", b"admin.test:9070"), *fields]
    assert origin.request().values(b"x-forwarded-for") == [b"127.0.0.1"]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_of_the_old_call_disturbs_nothing(
    framing: str, client: Client, origin: Origin
) -> None:
    """It means nothing there; what follows on the connection does."""
    field, body = b"Content-Length: 5", b"hello"
    if framing == "chunked":
        field, body = b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"
    client.send(request("DELETE", "/invocations/x", field, body=body) + request("GET", "/after"))
    assert [client.read().status, client.read().status] == [202, 200]
    assert [got.target for got in origin.requests] == [b"/invocations/x/cancel", b"/after"]


def plain(status: int, body: bytes = b"", *fields: bytes) -> Script:
    return reply(answer(status, body, *fields))


def coded(status: int, body: bytes) -> Script:
    """Compressed when asked, as Restate does."""

    def script(connection: Connection, received: Received) -> None:
        fields = [JSON]
        sent = body
        if b"gzip" in b",".join(received.values(b"accept-encoding")):
            fields.append(b"content-encoding: gzip")
            sent = gzip.compress(body)
        connection.send(answer(status, sent, *fields))

    return script


UPSTREAM = {
    "200": (200, plain(200)),
    "202": (202, plain(202)),
    "404": (404, plain(404, NOT_FOUND, JSON)),
    "409": (409, plain(409, COMPLETED, JSON)),
    "404 in pieces": (404, reply(*[b"%c" % byte for byte in answer(404, NOT_FOUND, JSON)])),
    "409 chunked": (409, reply(answer(409, COMPLETED, JSON, framing="chunked"))),
    "404 compressed": (404, coded(404, NOT_FOUND)),
    "409 compressed": (409, coded(409, COMPLETED)),
    "404 with a charset": (404, plain(404, NOT_FOUND, JSON + b"; charset=utf-8")),
    "200 with a body": (200, plain(200, b"{}", JSON)),
    "404 after a hint": (404, reply(b"HTTP/1.1 103 H\r\n\r\n" + answer(404, NOT_FOUND, JSON))),
}


@pytest.mark.parametrize("case", UPSTREAM)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"], ids=ascii)
def test_a_legacy_reply_is_202_and_empty(
    version: bytes, case: str, client: Client, origin: Origin
) -> None:
    """What upstream really said is in a field, where it differs."""
    status, origin.script = UPSTREAM[case]
    got = client.ask(
        request("DELETE", "/invocations/x?mode=kill", b"Accept-Encoding: gzip", version=version)
    )
    assert (got.status, got.body) == (202, b"")
    assert got.values(b"content-type") == got.values(b"content-encoding") == []
    assert got.values(STATUS) == ([] if status == 202 else [b"%d" % status])
    if version == b"HTTP/1.1":
        assert got.values(b"content-length") == [b"0"]
        assert client.ask(request("DELETE", "/invocations/y")).status == 202


PASSED_ON = [
    (400, b'{"message":"bad id","restate_code":null}', [JSON]),
    (429, b'{"message":"slow down","restate_code":null}', [JSON, b"retry-after: 3"]),
    (500, b"oops", [b"Content-Type: text/plain", b"X-A: 1"]),
    (503, b'{"message":"no","restate_code":"META001"}', [JSON]),
    (401, b"", [b"WWW-Authenticate: Bearer"]),
    (403, b"no", []),
    (405, b'{"message":"PATCH is deprecated, use X instead","restate_code":null}', [JSON]),
    (307, b"", [b"Location: http://leader.test/"]),
]


@pytest.mark.parametrize(("status", "body", "fields"), PASSED_ON, ids=lambda value: str(value)[:3])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_what_the_mapping_does_not_name_passes_as_it_is(
    framing: str, status: int, body: bytes, fields: list[bytes], client: Client, origin: Origin
) -> None:
    """400, 429 and 5xx among it; never a 202."""
    origin.script = reply(answer(status, body, *fields, framing=framing))
    got = client.ask(request("DELETE", "/invocations/x"))
    assert (got.status, got.body) == (status, body)
    for field in fields:
        name, value = field.split(b": ")
        assert got.values(name) == [value]
    assert got.values(STATUS) == []
    assert [one.method for one in origin.requests] == [b"PATCH"]


@pytest.fixture(scope="module")
def other_origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture(scope="module", params=["documented", "native"])
def other_replies(
    request: pytest.FixtureRequest, other_origin: Origin
) -> Iterator[tuple[str, Shim]]:
    shim = Shim("--replies", request.param, upstream=other_origin.url)
    yield request.param, shim
    shim.stop()


@pytest.mark.parametrize("case", UPSTREAM)
def test_other_replies_say_more(
    case: str, other_replies: tuple[str, Shim], other_origin: Origin
) -> None:
    """`documented`: 202, 404, 409; `native`: what PATCH answered, all of it."""
    replies, shim = other_replies
    other_origin.forget()
    status, other_origin.script = UPSTREAM[case]
    got = ask(shim.proxy, request("DELETE", "/invocations/x?mode=purge"))
    if replies == "documented" and status == 200:
        assert (got.status, got.body, got.values(STATUS)) == (202, b"", [b"200"])
        return
    assert (got.status, got.values(STATUS)) == (status, [])
    if status in (404, 409):
        assert got.body == (NOT_FOUND if status == 404 else COMPLETED)
        assert [value.split(b";")[0] for value in got.values(b"content-type")] == [
            b"application/json"
        ]


VARIANTS = "expected one of `Cancel`, `cancel`, `Kill`, `kill`, `Purge`, `purge`"
DUPLICATE = "Failed to deserialize query string: duplicate field `mode`"
INVALID_ID = "Invalid URL: Invalid UTF-8 in `invocation_id`"


def unknown(mode: str) -> str:
    return f"Failed to deserialize query string: mode: unknown variant `{mode}`, {VARIANTS}"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/invocations/x?mode=KILL", unknown("KILL")),
        ("/invocations/x?mode=bogus", unknown("bogus")),
        ("/invocations/x?mode=", unknown("")),
        ("/invocations/x?mode", unknown("")),
        ("/invocations/x?mode=kill%20", unknown("kill ")),
        ("/invocations/x?mode=kill+", unknown("kill ")),
        ("/invocations/x?mode=kill;a=b", unknown("kill;a=b")),
        ("/invocations/x?mode=%C3%BC", unknown("ü")),
        ("/invocations/x?mode=kill&mode=kill", DUPLICATE),
        ("/invocations/x?mode=kill&mode=cancel", DUPLICATE),
        ("/invocations/x?mode=kill&a=b&%6dode=kill", DUPLICATE),
        ("/invocations/%ff?mode=kill", INVALID_ID),
        ("/invocations/%ff?mode=bogus", INVALID_ID),
        ("/invocations/%c3%28", INVALID_ID),
        ("/invocations/bad id".replace(" ", "%20") + "?mode=KILL", unknown("KILL")),
    ],
)
def test_what_the_server_cannot_parse_is_refused_in_its_words(
    target: str, text: str, client: Client, origin: Origin
) -> None:
    """400 as the real server says it, though upstream may have lost the route."""
    origin.script = plain(404)
    got = client.ask(request("DELETE", target))
    assert got.status == 400
    assert got.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert got.body.decode() == text
    assert b"PATCH" not in origin.heard


class TestFallback:
    """A server without the new endpoints: their 404 or 405 has no error body of Restate's."""

    MISSING: ClassVar = {
        "404 empty": answer(404),
        "405 empty": answer(405, b"", b"allow: DELETE"),
        "404 text": answer(404, b"404 page not found", b"Content-Type: text/plain"),
        "404 html": answer(404, b"<html>", b"Content-Type: text/html"),
        "404 other json": answer(404, b'{"detail":"Not Found"}', JSON),
        "404 json list": answer(404, b"[]", JSON),
        "404 broken json": answer(404, NOT_FOUND[:-5], JSON),
        # Python's reader gives up on it, and the use was on no record.
        "404 deep json": answer(404, b"[" * 50_000, JSON),
        "404 chunked": answer(404, framing="chunked"),
        "405 text": answer(405, b"Method Not Allowed"),
    }

    @staticmethod
    def old_server(missing: bytes, old: bytes) -> Script:
        def script(connection: Connection, received: Received) -> None:
            connection.read_body(received)
            connection.send(missing if received.method == b"PATCH" else old)

        return script

    @pytest.mark.parametrize("case", MISSING)
    def test_the_old_call_is_made_after_all(
        self, case: str, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """As it was sent; recorded; and remembered, so that the next goes there at once."""
        own_origin.script = self.old_server(self.MISSING[case], answer(202, b"", b"X-Old: 1"))
        shim = start(upstream=own_origin.url)
        with Client(shim.proxy) as client:
            got = client.ask(request("DELETE", "/v2/invocations/inv_a?mode=Kill&x=%31", b"X-B: 2"))
            assert (got.status, got.values(b"x-old")) == (202, [b"1"])
            assert got.values(STATUS) == []
            # The route is to go here too; but there is nothing yet that takes its place.
            assert got.values(b"deprecation") == [b"@1750636800"]
            assert b"successor-version" not in got.values(b"link")[0]
            patch, delete = own_origin.requests
            assert patch.line == b"PATCH /v2/invocations/inv_a/kill HTTP/1.1"
            assert delete.line == b"DELETE /v2/invocations/inv_a?mode=Kill&x=%31 HTTP/1.1"
            assert delete.values(b"x-b") == [b"2"]
            use = shim.use("inv_a")
            assert (use["decision"], use["status"], use["upstream_status"]) == (
                "fell_back",
                202,
                202,
            )
            assert use["masked"] is False
            assert client.ask(request("DELETE", "/v2/invocations/inv_b?mode=Kill")).status == 202
            assert [got.method for got in own_origin.requests[2:]] == [b"DELETE"]
            assert shim.use("inv_b")["decision"] == "fell_back"

    @pytest.mark.parametrize("status", [404, 405, 410, 500])
    def test_it_is_never_202_when_nothing_handled_it(
        self, status: int, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """Neither route there: the caller is told so."""
        own_origin.script = self.old_server(answer(404), answer(status, b"no", b"X-Old: 1"))
        shim = start(upstream=own_origin.url)
        for number in range(2):
            got = ask(shim.proxy, request("DELETE", f"/invocations/inv_none_{number}?mode=kill"))
            assert (got.status, got.body) == (status, b"no")

    def test_a_new_server_is_not_taken_for_an_old_one(self, client: Client, origin: Origin) -> None:
        """A 404 with Restate's error body is an unknown invocation, and nothing else is asked."""
        origin.script = plain(404, NOT_FOUND, JSON)
        for _ in range(3):
            assert client.ask(request("DELETE", "/invocations/x")).status == 202
        assert {got.method for got in origin.requests} == {b"PATCH"}


class TestObserve:
    """Phase `observe`: recorded, and not touched."""

    @pytest.fixture(scope="class")
    @classmethod
    def watched(cls) -> Iterator[tuple[Shim, Origin]]:
        origin = Origin()
        shim = Shim("--phase", "observe", upstream=origin.url)
        yield shim, origin
        shim.stop()
        origin.close()

    @pytest.mark.parametrize("status", [202, 400, 404, 409, 500])
    def test_the_call_and_its_answer_pass(self, status: int, watched: tuple[Shim, Origin]) -> None:
        """Byte for byte."""
        shim, origin = watched
        origin.forget()
        origin.script = plain(status, b"said", b"X-A: 1")
        name = f"inv_seen_{status}"
        target = f"/v2/invocations/{name}?mode=Kill&x=%31"
        got: Answer = ask(shim.proxy, request("DELETE", target, b"X-B: 1"))
        assert (got.status, got.body, got.values(b"x-a")) == (status, b"said", [b"1"])
        assert got.values(STATUS) == []
        assert [one.line for one in origin.requests] == [f"DELETE {target} HTTP/1.1".encode()]
        use = shim.use(name)
        assert (use["decision"], use["phase"], use["status"]) == ("observed", "observe", status)

    def test_even_one_the_server_will_refuse(self, watched: tuple[Shim, Origin]) -> None:
        """The server's own 400 is the one the caller sees."""
        shim, origin = watched
        origin.forget()
        origin.script = plain(400, b"its own words")
        got = ask(shim.proxy, request("DELETE", "/invocations/inv_bad?mode=KILL"))
        assert (got.status, got.body) == (400, b"its own words")
        assert origin.request().line == b"DELETE /invocations/inv_bad?mode=KILL HTTP/1.1"
