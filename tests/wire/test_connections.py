"""Versions, persistence, pipelining, and targets and protocols a gateway must see through."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support.client import Client, ask, request
from tests.support.message import chunks
from tests.support.origin import Connection, Origin, Received, answer, reply
from tests.support.running import Shim

TWO_FRAMINGS = request("POST", "/", b"Content-Length: 1", b"Transfer-Encoding: chunked")


class TestHttp10:
    """Callers that speak HTTP/1.0."""

    def test_the_connection_ends_with_the_answer(self, client: Client, origin: Origin) -> None:
        """Unless asked otherwise."""
        origin.script = reply(answer(200, b"body"))
        got = client.ask(request(version=b"HTTP/1.0"))
        assert got.body == b"body"
        assert client.closed()

    def test_the_connection_stays_when_asked(self, client: Client, origin: Origin) -> None:
        """And the answer says so."""
        origin.script = reply(answer(200, b"body"))
        for _ in range(2):
            got = client.ask(request("GET", "/", b"Connection: Keep-Alive", version=b"HTTP/1.0"))
            assert got.body == b"body"
            assert [value.lower() for value in got.values(b"connection")] == [b"keep-alive"]

    @pytest.mark.parametrize("fields", [[], [b"Connection: keep-alive"]], ids=ascii)
    def test_there_are_no_chunks(self, fields: list[bytes], client: Client, origin: Origin) -> None:
        """A chunked answer arrives plain."""
        origin.script = reply(answer(200, b"body", framing="chunked"))
        got = client.ask(request("GET", "/", *fields, version=b"HTTP/1.0"))
        assert got.values(b"transfer-encoding") == []
        assert got.body == b"body"
        if got.framing == "close":
            assert got.values(b"connection") in ([], [b"close"])

    def test_no_host_is_needed(self, client: Client, origin: Origin) -> None:
        """But upstream, which is HTTP/1.1, gets one."""
        assert client.ask(request(version=b"HTTP/1.0", host=None)).status == 200
        assert len(origin.request().values(b"host")) == 1

    def test_via_names_the_version_received(self, client: Client, origin: Origin) -> None:
        """RFC 9110 section 7.6.3."""
        client.ask(request(version=b"HTTP/1.0"))
        assert origin.request().values(b"via")[0].startswith(b"1.0 ")

    def test_a_body_passes(self, client: Client, origin: Origin) -> None:
        """By its length."""
        client.ask(request("POST", "/", b"Content-Length: 3", body=b"abc", version=b"HTTP/1.0"))
        assert origin.request().body == b"abc"


class TestPersistence:
    """Who may close, and when."""

    def test_close_is_honoured(self, client: Client, origin: Origin) -> None:
        """After the answer, and the answer says so."""
        got = client.ask(request("GET", "/", b"Connection: close"))
        assert [value.lower() for value in got.values(b"connection")] == [b"close"]
        assert client.closed()

    def test_many_requests_share_one_connection_on_both_sides(
        self, client: Client, origin: Origin
    ) -> None:
        """Upstream connections are pooled."""
        for _ in range(20):
            assert client.ask(request()).status == 200
        assert len(origin.connections) == 1

    @pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"], ids=ascii)
    def test_an_upstream_connection_that_will_close_is_not_used_again(
        self, version: bytes, client: Client, origin: Origin
    ) -> None:
        """`Connection: close`, or HTTP/1.0 without keep-alive."""
        said = b"Connection: close\r\n" if version == b"HTTP/1.1" else b""
        origin.script = reply(version + b" 200 OK\r\n" + said + b"Content-Length: 2\r\n\r\nok")
        for _ in range(3):
            assert client.ask(request("POST", "/", b"Content-Length: 0")).body == b"ok"
        assert len(origin.connections) == 3

    def test_requests_at_the_same_time_do_not_wait_for_each_other(
        self, shim: Shim, origin: Origin
    ) -> None:
        """Twenty at once, while the origin holds all of them."""
        go = threading.Event()

        def script(connection: Connection, received: Received) -> None:
            go.wait(5)
            connection.send(answer(200, received.target))

        origin.script = script
        clients = [Client(shim.proxy) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(request("GET", f"/{number}"))
        origin.wait(count=20)
        go.set()
        for number, client in enumerate(clients):
            assert client.read().body == b"/%d" % number
            client.close()


class TestPipelining:
    """RFC 9112 section 9.3.2."""

    def test_answers_come_in_the_order_of_requests(self, client: Client, origin: Origin) -> None:
        """Though the first takes longest."""

        def script(connection: Connection, received: Received) -> None:
            body = connection.read_body(received)
            if received.target == b"/0":
                time.sleep(0.1)
            connection.send(answer(200, received.target + b":" + body))

        origin.script = script
        client.send(
            request("GET", "/0")
            + request("POST", "/1", b"Content-Length: 3", body=b"abc")
            + request("POST", "/2", b"Transfer-Encoding: chunked", body=chunks(b"d", b"e"))
            + request("GET", "/3")
        )
        bodies = [client.read().body for _ in range(4)]
        assert bodies == [b"/0:", b"/1:abc", b"/2:de", b"/3:"]

    @pytest.mark.parametrize(
        "bad",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GARBAGE\r\n\r\n",
            TWO_FRAMINGS,
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        ],
        ids=["no host", "two hosts", "garbage", "two framings", "space", "TLS"],
    )
    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
    def test_good_ones_are_answered_before_a_bad_one_is_refused(
        self, slow: bool, count: int, bad: bytes, client: Client, origin: Origin
    ) -> None:
        """In one segment; then the connection closes and nothing of the bad one is upstream."""
        if slow:
            origin.script = reply(b"", answer(200), pause=0.1)
        client.send(request("GET", "/good") * count + bad)
        assert [client.read().status for _ in range(count)] == [200] * count
        assert client.read().status == 400
        assert client.closed()
        assert [got.target for got in origin.requests] == [b"/good"] * count

    def test_nothing_is_read_behind_a_request_that_closes(
        self, client: Client, origin: Origin
    ) -> None:
        """RFC 9112 section 9.6: no further requests after `Connection: close`."""
        client.send(request("GET", "/1", b"Connection: close") + request("GET", "/2"))
        assert client.read().status == 200
        assert client.closed()
        assert [got.target for got in origin.requests] == [b"/1"]

    @pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n"], ids=ascii)
    def test_an_empty_line_before_a_request_is_tolerated(
        self, empty: bytes, client: Client, origin: Origin
    ) -> None:
        """RFC 9112 section 2.2, and between requests too."""
        client.send(empty + request("GET", "/1"))
        assert client.read().status == 200
        client.send(empty + request("FOO", "/2"))
        assert client.read().status == 200
        assert [got.target for got in origin.requests] == [b"/1", b"/2"]


@pytest.mark.parametrize(
    ("target", "host", "origin_form"),
    [
        (b"http://other.test:1234/a?b", b"other.test:1234", b"/a?b"),
        (b"http://other.test/", b"other.test", b"/"),
        (b"http://other.test", b"other.test", b"/"),
        (b"http://other.test?q=1", b"other.test", b"/?q=1"),
        (b"HTTP://OTHER.test//x/../%2f", b"OTHER.test", b"//x/../%2f"),
        (b"https://other.test/a", b"other.test", b"/a"),
        (b"http://[::1]:8080/a", b"[::1]:8080", b"/a"),
        (b"http://other.test/http://inner.test/", b"other.test", b"/http://inner.test/"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("method", ["GET", "FOO"])
def test_an_absolute_target_goes_upstream_and_nowhere_else(
    method: str, target: bytes, host: bytes, origin_form: bytes, client: Client, origin: Origin
) -> None:
    """RFC 9112 section 3.2.2: in origin form, its Host replaced by the target's."""
    assert client.ask(request(method, target, b"X-A: 1")).status == 200
    got = origin.request()
    assert got.target == origin_form
    assert got.values(b"host") == [host]
    assert got.values(b"x-a") == [b"1"]


@pytest.mark.parametrize("host", [b"", b"other.test"])
def test_an_absolute_target_has_its_host_once(host: bytes, client: Client, origin: Origin) -> None:
    # An empty Host counted as none, and upstream got two.
    assert client.ask(request("GET", b"http://inner.test/a", host=host)).status == 200
    assert origin.request().values(b"host") == [b"inner.test"]


def test_userinfo_in_a_target_goes_no_further(client: Client, origin: Origin) -> None:
    """RFC 9110 section 4.2.4: refused, or at least kept out of Host."""
    got = client.ask(request("GET", b"http://user:secret@other.test/a"))
    assert got.status in (200, 400)
    assert b"secret" not in origin.heard


def test_asterisk_passes_for_options(client: Client, origin: Origin) -> None:
    """RFC 9112 section 3.2.4."""
    assert client.ask(request("OPTIONS", "*")).status == 200
    assert origin.request().line == b"OPTIONS * HTTP/1.1"


def test_an_absolute_target_of_options_without_a_path_is_an_asterisk(
    client: Client, origin: Origin
) -> None:
    """RFC 9112 section 3.2.4, the last sentence."""
    assert client.ask(request("OPTIONS", "http://other.test:80")).status == 200
    assert origin.request().line == b"OPTIONS * HTTP/1.1"


UPGRADES = {
    "websocket": [
        b"Connection: Upgrade", b"Upgrade: websocket",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13",
    ],
    "h2c": [
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    ],
    "unknown": [b"Upgrade: foo/1, bar", b"Connection: keep-alive, upgrade"],
    "TLS": [b"Connection: upgrade", b"Upgrade: TLS/1.0"],
}  # fmt: skip


@pytest.mark.parametrize("upgrade", UPGRADES)
class TestUpgrade:
    """Answered as a plain request, never forwarded."""

    def test_the_request_is_answered(self, upgrade: str, client: Client, origin: Origin) -> None:
        """And nothing of the upgrade is upstream; the connection goes on."""
        origin.script = reply(answer(200, b"plain"))
        for _ in range(2):
            assert client.ask(request("GET", "/", *UPGRADES[upgrade])).body == b"plain"
        assert client.ask(request("GET", "/after")).body == b"plain"
        for got in origin.requests:
            for name in (b"upgrade", b"connection", b"http2-settings"):
                assert got.values(name) == []

    def test_bytes_behind_it_are_a_request(
        self, upgrade: str, client: Client, origin: Origin
    ) -> None:
        """In one segment."""
        client.send(request("GET", "/1", *UPGRADES[upgrade]) + request("FOO", "/2"))
        assert [client.read().status for _ in range(2)] == [200, 200]
        assert [got.target for got in origin.requests] == [b"/1", b"/2"]

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_its_body_passes(
        self, framing: str, upgrade: str, client: Client, origin: Origin
    ) -> None:
        """A POST that offers an upgrade is a POST."""
        field, body = b"Content-Length: 5", b"hello"
        if framing == "chunked":
            field, body = b"Transfer-Encoding: chunked", chunks(b"hello")
        client.send(request("POST", "/", *UPGRADES[upgrade], field, body=body) + request())
        assert [client.read().status for _ in range(2)] == [200, 200]
        assert [got.body for got in origin.requests] == [b"hello", b""]


def test_an_upgrade_of_a_translated_call_is_ignored(shim: Shim, origin: Origin) -> None:
    """The old call with an upgrade offer, as HTTP/2-capable clients send it, is the old call."""
    data = request("DELETE", "/invocations/inv_upgrade", *UPGRADES["h2c"])
    assert ask(shim.proxy, data).status == 202
    assert origin.request().line == b"PATCH /invocations/inv_upgrade/cancel HTTP/1.1"
