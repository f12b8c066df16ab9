"""The end: quick, and with nothing lost that is in flight."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.ledger.reading import read_uses
from tests.support.certificates import Certificates
from tests.support.client import Client, ask, request, timed
from tests.support.origin import Connection, Origin, Received, answer, echo_target, hang, reply
from tests.support.running import Shim
from tests.support.waiting import wait_until


def drain(shim: Shim) -> None:
    """SIGTERM, and until it is seen to be not ready."""
    shim.terminate()

    def not_ready() -> bool:
        try:
            return ask(shim.ops, request("GET", "/ready", b"Connection: close")).status == 503
        except (OSError, EOFError):
            return True

    wait_until(not_ready, within=1, said=lambda: "still ready a second after SIGTERM")


class TestDrain:
    """SIGTERM: what is in flight finishes, nothing new begins."""

    def test_one_with_nothing_to_do_ends_at_once(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """Idle connections of callers are closed, not waited for."""
        shim = start(upstream=own_origin.url)
        with Client(shim.proxy) as client:
            assert client.ask(request()).status == 200
            with timed(2):
                shim.terminate()
                assert client.closed()
                assert shim.wait(2) == 0

    def test_what_is_in_flight_finishes(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """Not ready at once, new connections refused, exit 0 when done."""
        go = threading.Event()
        own_origin.script = echo_target(go, times=1000)
        shim = start(upstream=own_origin.url)
        with Client(shim.proxy) as one, Client(shim.proxy) as old:
            one.send(request("GET", "/one"))
            old.send(request("DELETE", "/invocations/inv_draining"))
            own_origin.wait(count=2)
            drain(shim)
            with pytest.raises(ConnectionRefusedError):
                Client(shim.proxy)
            assert shim.process.poll() is None
            go.set()
            assert one.read().body == b"/one" * 1000
            assert old.read().status == 202
            assert one.closed()
        assert shim.wait(3) == 0
        assert shim.use("inv_draining")["decision"] == "translated"

    def test_a_stream_in_flight_finishes(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """In both directions."""
        shim = start(upstream=own_origin.url)
        own_origin.script = lambda connection, received: connection.send(
            answer(200, connection.read_body(received), framing="chunked")
        )
        with Client(shim.proxy) as client:
            client.send(request("POST", "/", b"Content-Length: 10", body=b"first"))
            own_origin.wait()
            drain(shim)
            client.send(b"later")
            assert client.read().body == b"firstlater"
        assert shim.wait(3) == 0

    def test_nothing_new_begins_on_a_connection_in_use(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """A second request gets 503 or a closed connection, never upstream."""
        go = threading.Event()
        own_origin.script = echo_target(go)
        shim = start(upstream=own_origin.url)
        with Client(shim.proxy) as client:
            client.send(request("GET", "/first"))
            own_origin.wait()
            drain(shim)
            client.send(request("GET", "/second"))
            time.sleep(0.05)
            go.set()
            first = client.read()
            assert first.status == 200
            try:
                second = client.read()
            except (EOFError, ConnectionError):
                pass
            else:
                assert second.status == 503
                assert second.json()["restate_code"] is None
        assert [got.target for got in own_origin.requests] == [b"/first"]
        assert shim.wait(3) == 0

    def test_grace_has_an_end(self, own_origin: Origin, start: Callable[..., Shim]) -> None:
        """`--shutdown-grace`: what does not finish is cut, and visibly."""
        own_origin.script = hang
        shim = start("--shutdown-grace", "300ms", upstream=own_origin.url)
        with Client(shim.proxy) as client:
            client.send(request())
            own_origin.wait()
            with timed(2):
                shim.terminate()
                assert shim.wait(2) == 0
            with contextlib.suppress(EOFError, ConnectionError):
                assert client.read().status in (502, 503, 504)

    @pytest.mark.parametrize("kept", [True, False], ids=["kept connections", "new ones"])
    def test_who_has_asked_before_the_signal_is_answered(
        self, own_origin: Origin, start: Callable[..., Shim], *, kept: bool
    ) -> None:
        """In the kernel's queues too; then all connections are closed."""
        # 13 (kept) to 15 (new) requests failed with every signal under load.
        shim = start(upstream=own_origin.url)
        with contextlib.ExitStack() as stack:
            clients = []
            if kept:
                clients = [stack.enter_context(Client(shim.proxy)) for _ in range(20)]
                assert [client.ask(request()).status for client in clients] == [200] * 20
            shim.process.send_signal(signal.SIGSTOP)
            if not kept:
                clients = [stack.enter_context(Client(shim.proxy)) for _ in range(20)]
            for client in clients:
                client.send(request())
            shim.terminate()
            shim.process.send_signal(signal.SIGCONT)
            answers = [client.read() for client in clients]
            assert [got.status for got in answers] == [200] * 20
            assert all(client.closed() for client in clients)
        assert shim.wait(3) == 0

    def test_an_old_call_that_is_cut_off_is_recorded(
        self, own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        """Nobody knows whether it had its effect, so somebody must know that it was made."""
        # It left neither a line nor a row.
        own_origin.script = hang
        ledger = tmp_path / "ledger.db"
        shim = start("--shutdown-grace", "300ms", "--ledger", str(ledger), upstream=own_origin.url)
        with Client(shim.proxy) as client:
            client.send(request("DELETE", "/invocations/inv_1?mode=kill"))
            own_origin.wait()
            shim.terminate()
            assert shim.wait(3) == 0
        (line,) = shim.uses
        assert (line["decision"], line["status"], line["upstream_status"]) == ("failed", 499, None)
        assert [use["id"] for use in read_uses(ledger)] == [line["id"]]

    # The key was read anew in the drain: half replaced, it ended what was in flight.
    def test_it_takes_no_certificate(
        self, own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        """Which may be half replaced just then."""
        folder = tmp_path / "tls"
        folder.mkdir()
        own = Certificates(folder)
        shim = start("--tls-cert", own.cert, "--tls-key", own.key, upstream=own_origin.url)
        release = threading.Event()

        def script(connection: Connection, _: Received) -> None:
            assert release.wait(5)
            connection.send(answer(202))

        own_origin.script = script
        with Client(shim.proxy, tls=own.client()) as client:
            client.send(request("DELETE", "/invocations/inv_1?mode=kill"))
            own_origin.wait()
            Path(own.key).unlink()
            shim.terminate()
            shim.event("draining")
            release.set()
            assert client.read().status == 202
        assert shim.wait(3) == 0
        assert shim.use("inv_1")["decision"] == "translated"

    # Who had connected and not shaken hands yet was cut off, though nothing else was to be done.
    def test_who_is_shaking_hands_is_served(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        """For a second."""
        tls = ("--tls-cert", certificates.cert, "--tls-key", certificates.key)
        shim = start(*tls, upstream=own_origin.url)
        before = shim.descriptors()
        with Client(shim.proxy.replace("https:", "http:")) as plain:
            wait_until(lambda: shim.descriptors() > before)
            shim.terminate()
            shim.event("draining")
            with certificates.client().wrap_socket(plain.sock, server_hostname="localhost") as sock:
                sock.sendall(request())
                assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        assert shim.wait(3) == 0

    # The old one removed the new one's file when it had ended.
    def test_another_one_may_take_its_unix_socket_meanwhile(
        self, own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        """As it does where one replaces the other."""
        path = tmp_path / "shim.sock"
        own_origin.script = hang
        old = start("--shutdown-grace", "1s", upstream=own_origin.url, listen=f"unix:{path}")
        with Client(old.proxy) as client:
            client.send(request())
            own_origin.wait()
            old.terminate()
            wait_until(lambda: not path.exists())
            own_origin.script = reply(answer(200))
            new = start(upstream=own_origin.url, listen=f"unix:{path}")
            assert old.wait(3) == 0
            assert ask(new.proxy, request()).status == 200
