"""Where upstream is: TLS, a Unix socket, not there yet; and how many connections go there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.client import Client, ask, request, timed
from tests.support.message import chunks
from tests.support.origin import Origin, answer
from tests.support.running import Shim
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
