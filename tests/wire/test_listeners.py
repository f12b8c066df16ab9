"""Where the shim listens: TCP of both families, TLS, a Unix socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.client import Client, ask, request
from tests.support.origin import Origin, answer, reply
from tests.support.running import Shim
from tests.support.waiting import wait_until


class TestListening:
    """TCP of both families, TLS, and a Unix socket."""

    def test_on_ipv6(self, own_origin: Origin, start: Callable[..., Shim]) -> None:
        """And the caller's address is one."""
        shim = start(upstream=own_origin.url, listen="[::1]:0")
        assert shim.proxy.startswith("http://[::1]:")
        assert ask(shim.proxy, request()).status == 200
        forwarded = own_origin.request().values(b"x-forwarded-for")
        assert forwarded[0].strip(b"[]") == b"::1"

    def test_on_both_families_callers_by_ipv4_have_the_name_they_always_have(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """Not `::ffff:127.0.0.1`: to a report that is another caller."""
        shim = start(upstream=own_origin.url, listen="[::]:0")
        port = shim.proxy.rpartition(":")[2]
        with Client(f"http://127.0.0.1:{port}") as client:
            assert client.ask(request()).status == 200
            assert client.ask(request("DELETE", "/invocations/inv_mapped")).status == 202
        assert own_origin.requests[0].values(b"x-forwarded-for") == [b"127.0.0.1"]
        assert shim.use("inv_mapped")["client_address"] == "127.0.0.1"

    def test_on_a_unix_socket(
        self, own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        """The same in every way, but for an address of the caller."""
        path = tmp_path / "shim.sock"
        shim = start(upstream=own_origin.url, listen=f"unix:{path}")
        assert shim.proxy == f"unix:{path}"
        with Client(shim.proxy) as client:
            assert client.ask(request("GET", "/a//b")).status == 200
            assert client.ask(request("DELETE", "/invocations/inv_unix")).status == 202
        assert own_origin.requests[0].target == b"/a//b"
        assert shim.use("inv_unix")["caller"]
        shim.terminate()
        assert shim.wait(5) == 0
        assert not path.exists()

    def test_on_a_unix_socket_that_was_left_behind(
        self, own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        """After a crash it is in the way, and nobody listens there."""
        path = str(tmp_path / "shim.sock")
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.close()
        shim = start(upstream=own_origin.url, listen=f"unix:{path}")
        assert ask(shim.proxy, request()).status == 200

    def test_a_caller_who_is_slow_to_begin_tls_has_its_time_for_a_head_all_the_same(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """The watch over connections found none while it shook hands, and ended."""
        tls = ("--tls-cert", certificates.cert, "--tls-key", certificates.key)
        shim = start(*tls, "--client-timeout", "300ms", upstream=own_origin.url)
        host, _, port = shim.proxy.removeprefix("https://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as plain:
            time.sleep(0.5)
            with certificates.client().wrap_socket(plain, server_hostname="localhost") as caller:
                caller.sendall(b"GET / HTTP/1.1\r\n")
                assert caller.recv(100).startswith(b"HTTP/1.1 408 ")

    # Handshakes under way were counted nowhere: three hundred of them took every descriptor.
    def test_callers_who_do_not_begin_tls_leave_the_others_their_descriptors(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """They wait to be accepted, while who is connected and the ops port go on."""
        tls = ("--tls-cert", certificates.cert, "--tls-key", certificates.key)
        shim = start(*tls, within=["prlimit", "--nofile=200:200"], upstream=own_origin.url)
        where = shim.proxy.removeprefix("https://").rpartition(":")
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(Client(shim.proxy, tls=certificates.client()))
            assert held.ask(request()).status == 200
            for _ in range(300):
                stack.enter_context(socket.create_connection((where[0], int(where[2])), 5))
            assert held.ask(request()).status == 200
            assert ask(shim.ops, request("GET", "/live")).status == 200
        with Client(shim.proxy, tls=certificates.client()) as client:
            assert client.ask(request()).status == 200

    def test_one_too_many_by_tls_is_let_go(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """At once: it held its descriptor for half a minute."""
        tls = ("--tls-cert", certificates.cert, "--tls-key", certificates.key)
        shim = start(*tls, "--max-connections", "1", upstream=own_origin.url)
        with Client(shim.proxy, tls=certificates.client()) as held:
            assert held.ask(request()).status == 200
            before = shim.descriptors()
            for _ in range(20):
                with Client(shim.proxy, tls=certificates.client()) as refused:
                    assert refused.closed(within=2)
            wait_until(lambda: shim.descriptors() <= before)
            assert held.ask(request()).status == 200
        shim.event("connection_refused")

    # A connection that never shakes hands held its descriptor for a minute, beside the limits.
    def test_a_caller_who_does_not_begin_tls_is_let_go(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """After `--head-timeout`."""
        tls = ("--tls-cert", certificates.cert, "--tls-key", certificates.key)
        shim = start(*tls, "--head-timeout", "300ms", upstream=own_origin.url)
        with Client(shim.proxy.replace("https:", "http:")) as client:
            assert client.closed(within=3)

    def test_with_tls(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """And upstream is told so."""
        shim = start(
            "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
        )
        assert shim.proxy.startswith("https://")
        body = b"x" * 300_000
        own_origin.script = reply(answer(200, body))
        with Client(shim.proxy, tls=certificates.client()) as client:
            assert client.ask(request()).body == body
            client.send(request("POST", "/", b"Content-Length: %d" % len(body), body=body))
            assert client.read().body == body
        assert own_origin.requests[0].values(b"x-forwarded-proto") == [b"https"]
        assert own_origin.request(count=2).body == body

    @pytest.mark.parametrize("offered", [["http/1.1"], ["http/1.1", "spdy/3"], ["spdy/3"], []])
    def test_tls_offers_nothing_it_does_not_speak(
        self,
        offered: list[str],
        own_origin: Origin,
        start: Callable[..., Shim],
        certificates: Certificates,
    ) -> None:
        """A caller that does not offer HTTP/2 gets HTTP/1.1."""
        shim = start(
            "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
        )
        context = certificates.client()
        if offered:
            context.set_alpn_protocols(offered)
        with Client(shim.proxy, tls=context) as client:
            assert isinstance(client.sock, ssl.SSLSocket)
            assert client.sock.selected_alpn_protocol() in (None, "http/1.1")
            assert client.ask(request()).status == 200

    def test_plain_bytes_to_a_tls_port_harm_nothing(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """Closed, and the next is served."""
        shim = start(
            "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
        )
        with Client(shim.proxy) as client:
            client.send_what_is_taken(request())
            client.closed(within=3)
        with Client(shim.proxy, tls=certificates.client()) as client:
            assert client.ask(request()).status == 200
