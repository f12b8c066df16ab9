"""Where upstream is: TLS, a Unix socket, not there yet; and how many connections go there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import http2
from tests.support.certificates import Certificates
from tests.support.client import Client, ask, request, timed
from tests.support.message import chunks
from tests.support.origin import Origin, answer, break_off, hang, reply
from tests.support.running import Shim, restate_shim
from tests.support.waiting import wait_until


@pytest.fixture
def tls_origin(certificates: Certificates) -> Iterator[Origin]:
    origin = Origin(tls=certificates.server())
    yield origin
    origin.close()


class TestUpstreams:
    """TLS and Unix sockets; TCP is everywhere else."""

    def test_a_unix_socket(self, start: Callable[..., Shim]) -> None:
        """Restate listens on one by default."""
        origin = Origin(unix=True)
        try:
            shim = start(upstream=origin.url)
            with Client(shim.proxy) as client:
                for _ in range(3):
                    assert client.ask(request("GET", "/a%2F?b")).status == 200
                assert client.ask(request("DELETE", "/invocations/x?mode=kill")).status == 202
            assert origin.requests[0].target == b"/a%2F?b"
            assert origin.requests[0].values(b"host") == [b"admin.test:9070"]
            assert origin.requests[3].line == b"PATCH /invocations/x/kill HTTP/1.1"
            assert len(origin.connections) <= 2
        finally:
            origin.close()

    def test_a_unix_socket_that_is_not_there(
        self, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        """502, and served as soon as it is."""
        shim = start(upstream=f"unix:{tmp_path}/none.sock")
        assert ask(shim.proxy, request()).status == 502

    def test_https(
        self, tls_origin: Origin, certificates: Certificates, start: Callable[..., Shim]
    ) -> None:
        """With the authority that was given; large bodies both ways."""
        body = b"y" * 300_000
        tls_origin.script = lambda connection, received: connection.send(
            answer(200, connection.read_body(received) or body)
        )
        shim = start("--upstream-ca", certificates.ca, upstream=tls_origin.url)
        with Client(shim.proxy) as client:
            assert client.ask(request()).body == body
            client.send(request("POST", "/", b"Content-Length: 300000", body=body))
            assert client.read().body == body

    def test_https_of_an_unknown_authority(
        self, tls_origin: Origin, certificates: Certificates, start: Callable[..., Shim]
    ) -> None:
        """502 that says it is the certificate; no request was sent."""
        for arguments in ([], ["--upstream-ca", certificates.other_ca]):
            shim = start(*arguments, upstream=tls_origin.url)
            got = ask(shim.proxy, request())
            assert got.status == 502
            assert "certificate" in got.json()["message"].lower()
        assert tls_origin.requests == []

    def test_https_of_another_name(
        self, certificates: Certificates, start: Callable[..., Shim]
    ) -> None:
        """A certificate for somebody else is none."""
        origin = Origin(tls=certificates.elsewhere)
        try:
            shim = start("--upstream-ca", certificates.ca, upstream=origin.url)
            got = ask(shim.proxy, request())
            assert got.status == 502
            assert "certificate" in got.json()["message"].lower()
            assert origin.requests == []
        finally:
            origin.close()

    def test_https_to_a_plain_port(
        self, own_origin: Origin, certificates: Certificates, start: Callable[..., Shim]
    ) -> None:
        """502, promptly."""
        url = own_origin.url.replace("http://127.0.0.1", "https://localhost")
        shim = start("--upstream-ca", certificates.ca, upstream=url)
        with timed(8):
            assert ask(shim.proxy, request(), deadline=8).status in (502, 504)
        own_origin.errors.clear()

    def test_a_client_certificate(
        self, certificates: Certificates, start: Callable[..., Shim]
    ) -> None:
        """Shown when upstream asks for one; without it, 502."""
        origin = Origin(tls=certificates.server(ask_client=True))
        try:
            ca = ["--upstream-ca", certificates.ca]
            pair = [
                "--upstream-cert", certificates.client_cert,
                "--upstream-key", certificates.client_key,
            ]  # fmt: skip
            assert ask(start(*ca, *pair, upstream=origin.url).proxy, request()).status == 200
            assert ask(start(*ca, upstream=origin.url).proxy, request()).status == 502
        finally:
            origin.close()

    def test_none_at_start(self, own_origin: Origin, start: Callable[..., Shim]) -> None:
        """Serve anyway, not ready, say so; ready when it comes."""
        own_origin.refuse()
        shim = start(upstream=own_origin.url)
        assert ask(shim.ops, request("GET", "/live")).status == 200
        assert ask(shim.ops, request("GET", "/ready")).status == 503
        assert ask(shim.proxy, request()).status == 502
        own_origin.listen()
        assert ask(shim.proxy, request()).status == 200
        wait_until(lambda: ask(shim.ops, request("GET", "/ready")).status == 200, within=10)

    def test_one_that_never_accepts(self, start: Callable[..., Shim]) -> None:
        """`--connect-timeout`: 502 or 504 in that time."""
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):  # nobody accepts: the backlog fills, and then SYNs are dropped
            filler = socket.socket()
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        time.sleep(0.05)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        shim = start("--connect-timeout", "400ms", upstream=url)
        with timed(2.5):
            assert ask(shim.proxy, request()).status in (502, 504)
        for one in [full, *fillers]:
            one.close()


class TestSeveral:
    """`--upstream A,B`: whoever answers."""

    @pytest.fixture
    def pair(self) -> Iterator[tuple[Origin, Origin]]:
        origins = Origin(), Origin()
        for origin, name in zip(origins, (b"A", b"B"), strict=True):
            origin.script = reply(answer(200, name))
        yield origins
        for origin in origins:
            origin.close()

    @pytest.fixture
    def shim(self, pair: tuple[Origin, Origin], start: Callable[..., Shim]) -> Shim:
        both = ",".join(origin.url for origin in pair)
        return start("--upstream-timeout", "500ms", upstream=both)

    @pytest.mark.parametrize("plain", [True, False], ids=["relayed", "handled"])
    def test_a_request_that_may_be_repeated_goes_to_who_answers(
        self, plain: bool, pair: tuple[Origin, Origin], shim: Shim
    ) -> None:
        """One that accepted, and did not answer, was asked again and again."""
        first, _ = pair
        fields = [] if plain else [b"Connection: x"]
        with Client(shim.proxy) as client:
            assert client.ask(request("GET", "/", *fields)).body == b"A"
            first.script = hang
            for _ in range(3):
                assert client.ask(request("GET", "/", *fields)).body == b"B"
        assert shim.event("upstream_unreachable")["upstream"] == first.url
        assert ask(shim.ops, request("GET", "/ready")).status == 200

    def test_the_deprecated_call_goes_there_too(
        self, pair: tuple[Origin, Origin], shim: Shim
    ) -> None:
        """Cancel, kill and purge have the same effect once and twice."""
        first, second = pair
        first.script = hang
        got = ask(shim.proxy, request("DELETE", "/invocations/inv_x?mode=kill"))
        assert got.status == 202
        assert second.request().line == b"PATCH /invocations/inv_x/kill HTTP/1.1"
        assert shim.use("inv_x")["decision"] == "translated"

    def test_a_request_that_may_not_be_repeated_is_504_and_the_next_one_is_served(
        self, pair: tuple[Origin, Origin], shim: Shim
    ) -> None:
        """Nobody knows what upstream made of the first."""
        first, second = pair
        first.script = hang
        post = request("POST", "/deployments", b"Content-Length: 2", body=b"{}")
        with Client(shim.proxy) as client:
            assert client.ask(post).status == 504
            assert second.requests == []
            assert client.ask(post).body == b"B"

    def test_one_that_closes_at_once_is_passed_over(
        self, pair: tuple[Origin, Origin], shim: Shim
    ) -> None:
        """It accepts, and hangs up without a word."""
        first, _ = pair
        first.script = break_off
        with Client(shim.proxy) as client:
            for _ in range(3):
                assert client.ask(request()).body == b"B"

    def test_one_that_answers_again_is_taken_back(
        self, pair: tuple[Origin, Origin], shim: Shim
    ) -> None:
        """It is asked for /health until it does, and serves when the other leaves."""
        first, second = pair
        first.script = hang
        assert ask(shim.proxy, request()).body == b"B"
        first.script = reply(answer(200, b"A"))
        shim.event("upstream_reachable", within=10)
        second.refuse()
        second.forget()
        assert ask(shim.proxy, request()).body == b"A"

    def test_one_that_is_silent_is_asked_before_somebody_has_to_wait_for_it(
        self, pair: tuple[Origin, Origin], start: Callable[..., Shim]
    ) -> None:
        """Nothing goes through, and it stops answering: the next caller does not notice."""
        first, _ = pair
        shim = start(upstream=",".join(origin.url for origin in pair))
        assert ask(shim.proxy, request()).body == b"A"
        first.script = hang
        gone = shim.event("upstream_unreachable", within=20)
        assert (gone["upstream"], gone["kind"]) == (first.url, "timeout")
        assert ask(shim.proxy, request()).body == b"B"

    def test_nobody_answers(self, pair: tuple[Origin, Origin], shim: Shim) -> None:
        """504 once each has been asked; not ready."""
        for origin in pair:
            origin.script = hang
        assert ask(shim.proxy, request()).status == 504
        assert all(origin.requests for origin in pair)
        assert ask(shim.ops, request("GET", "/ready")).status == 503


class TestHost:
    """`--upstream-host`: what upstream is asked as, whatever the caller says."""

    HOST = b"env.test:443"

    @pytest.fixture
    def shim(self, own_origin: Origin, start: Callable[..., Shim]) -> Shim:
        return start("--upstream-host", self.HOST.decode(), upstream=own_origin.url)

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(request("GET", "/services"), id="a plain request"),
            pytest.param(request("HEAD", "/services"), id="one for the handler"),
            pytest.param(request("POST", "/", b"Content-Length: 2", body=b"ab"), id="a body"),
            pytest.param(request("GET", "http://other.test/"), id="an absolute target"),
            pytest.param(request("DELETE", "/invocations/x?mode=kill"), id="an old call"),
        ],
    )
    def test_it_is_sent_in_the_caller_s_stead(
        self, data: bytes, shim: Shim, own_origin: Origin
    ) -> None:
        """X-Forwarded-Host has the caller's."""
        for _ in range(2):
            ask(shim.proxy, data)
        for count in (1, 2):
            got = own_origin.request(count=count)
            assert got.values(b"host") == [self.HOST]
            (told,) = got.values(b"x-forwarded-host")
            assert told != self.HOST

    def test_it_is_sent_where_a_caller_names_no_host(self, shim: Shim, own_origin: Origin) -> None:
        ask(shim.proxy, request(version=b"HTTP/1.0", host=None))
        assert own_origin.request().values(b"host") == [self.HOST]

    def test_over_http_2_too(self, shim: Shim, own_origin: Origin) -> None:
        with http2.Client(shim.proxy) as caller:
            caller.ask()
        got = own_origin.request()
        assert got.values(b"host") == [self.HOST]
        assert got.values(b"x-forwarded-host") == [b"admin.test:9070"]

    def test_upstreams_are_asked_by_it_whether_they_answer(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """/health by the shim, /version by `check`."""
        own_origin.script = hang
        other = Origin()
        try:
            host = self.HOST.decode()
            shim = start(
                *("--upstream-host", host, "--upstream-timeout", "400ms"),
                upstream=f"{own_origin.url},{other.url}",
            )
            assert ask(shim.proxy, request()).status == 200
            own_origin.script = reply(answer(200))
            shim.event("upstream_reachable", within=10)
            probes = [one for one in own_origin.requests if one.target == b"/health"]
            assert probes
            assert {one.values(b"host")[0] for one in probes} == {self.HOST}
            count = len(own_origin.requests)
            restate_shim("check", "--upstream", own_origin.url, "--upstream-host", host)
            assert own_origin.request(count=count + 1).values(b"host") == [self.HOST]
        finally:
            other.close()


# Where nobody called, /ready said that all was well for as long as nobody did.
def test_that_a_single_upstream_has_gone_is_known_without_a_request(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """It is not asked for anything while it is there."""
    shim = start(upstream=own_origin.url)
    assert ask(shim.ops, request("GET", "/ready")).status == 200
    assert b"\nrestate_shim_upstream_up 1.0" in ask(shim.ops, request("GET", "/metrics")).body
    own_origin.refuse()
    shim.event("upstream_unreachable", within=20)
    assert ask(shim.ops, request("GET", "/ready")).status == 503
    assert b"\nrestate_shim_upstream_up 0.0" in ask(shim.ops, request("GET", "/metrics")).body
    assert not own_origin.requests


class TestLimits:
    """Settings that bound what is open."""

    @pytest.mark.parametrize("framing", ["length", "chunked", "chunked with the head"])
    def test_a_body_over_the_limit_is_413(
        self, framing: str, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """`--max-body`: told so, the connection closed, nothing complete upstream."""
        shim = start("--max-body", "1KiB", upstream=own_origin.url)
        with Client(shim.proxy) as client:
            for size in (1024, 1025):
                body = b"x" * size
                if framing == "length":
                    client.send(request("POST", "/", b"Content-Length: %d" % size, body=body))
                else:
                    head = request("POST", "/", b"Transfer-Encoding: chunked")
                    if framing == "chunked":
                        client.send(head)
                        time.sleep(0.05)
                        head = b""
                    client.send(head + chunks(body[:1000], body[1000:]))
                got = client.read()
                assert got.status == (200 if size == 1024 else 413)
            assert got.json()["restate_code"] is None
            assert client.closed()
        assert [one.body for one in own_origin.requests if one.complete] == [b"x" * 1024]

    @pytest.mark.parametrize("framing", ["length", "chunked", "chunked with the head"])
    def test_it_holds_for_the_deprecated_call_too(
        self, framing: str, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """Its body means nothing to anybody, and was read to its end, however far that was."""
        shim = start("--max-body", "1KiB", upstream=own_origin.url)
        target = "/invocations/inv_too_large?mode=kill"
        with Client(shim.proxy) as client:
            if framing == "length":
                client.send(request("DELETE", target, b"Content-Length: 1025", body=b"x" * 1025))
            else:
                head = request("DELETE", target, b"Transfer-Encoding: chunked")
                if framing == "chunked":
                    client.send(head)
                    head = b""
                client.send(head + chunks(b"x" * 1000)[:-5] + chunks(b"x" * 25))
            assert client.read().status == 413
            assert client.closed()
        assert not own_origin.requests
        use = shim.use("inv_too_large")
        assert (use["decision"], use["status"]) == ("invalid", 413)
