"""How much callers may ask for at a time: connections, requests on one, and what waits."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from urllib.parse import urlsplit

import pytest

from tests.support.client import Answer, Client, ask, request, timed
from tests.support.metrics import of, samples
from tests.support.origin import EMPTY, Connection, Origin, Received, answer, reply_and_close
from tests.support.running import Shim
from tests.support.waiting import wait_until

OLD_CALL = request("DELETE", "/invocations/x?mode=kill")


def sample(shim: Shim, name: str, **labels: str) -> float | None:
    text = ask(shim.ops, request("GET", "/metrics")).body.decode()
    return of(samples(text), name, **labels)


@pytest.fixture
def clients() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


class Gate:
    """A script that answers once it is open."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, connection: Connection, received: Received) -> None:
        assert self.open.wait(10)
        connection.send(answer(200, received.target))


def one_too_many(shim: Shim) -> Answer | None:
    """What one more caller gets: an answer, or a closed connection."""
    with Client(shim.proxy) as client, contextlib.suppress(EOFError, ConnectionError):
        return client.read()
    return None


class TestConnections:
    """`--max-connections` and `--max-connections-per-address`."""

    @pytest.mark.parametrize("flag", ["--max-connections", "--max-connections-per-address"])
    def test_one_too_many_is_told_so_and_those_before_go_on(
        self,
        flag: str,
        own_origin: Origin,
        start: Callable[..., Shim],
        clients: contextlib.ExitStack,
    ) -> None:
        """503 and the end of the connection; as soon as one has left, another is served."""
        shim = start(flag, "3", upstream=own_origin.url)
        held = [clients.enter_context(Client(shim.proxy)) for _ in range(3)]
        assert [one.ask(request()).status for one in held] == [200] * 3
        for _ in range(5):
            with Client(shim.proxy) as client:
                refused = client.read()
                assert client.closed()
            assert (refused.status, refused.header(b"connection")) == (503, b"close")
            assert "connections" in refused.json()["message"]
        assert [one.ask(request()).status for one in held] == [200] * 3
        assert [one.ask(OLD_CALL).status for one in held] == [202] * 3
        limit = flag.removeprefix("--").replace("-", "_")
        assert shim.event("connection_refused")["limit"] == limit
        assert sample(shim, "connections_refused_total", limit=limit) == 5
        assert sample(shim, "connections") == 3
        held.pop().close()
        wait_until(lambda: sample(shim, "connections") == 2)
        assert ask(shim.proxy, request()).status == 200

    # The refusal was lost to a reset where the caller had sent a body: it never learnt why.
    def test_one_too_many_who_sends_much_is_told_so_too(
        self, own_origin: Origin, start: Callable[..., Shim], clients: contextlib.ExitStack
    ) -> None:
        """What it sends is thrown away; a few at a time, and none for longer than a second."""
        shim = start("--max-connections", "1", upstream=own_origin.url)
        clients.enter_context(Client(shim.proxy)).ask(request())
        post = request("POST", "/", b"Content-Length: 50000", body=b"x" * 50_000)
        for _ in range(20):
            with Client(shim.proxy) as client:
                client.send(post)
                assert client.read().status == 503
        before = shim.descriptors()
        stay = [clients.enter_context(Client(shim.proxy)) for _ in range(50)]
        assert all(one.closed(within=3) or one.reader.buffer for one in stay)
        wait_until(lambda: shim.descriptors() <= before)

    # Idle connections to the ops port stayed for ever: two hundred were the end of all probes.
    def test_the_ops_port_answers_however_many_stay_on_it(
        self, own_origin: Origin, start: Callable[..., Shim], clients: contextlib.ExitStack
    ) -> None:
        """The oldest makes room."""
        shim = start(within=["prlimit", "--nofile=200:200"], upstream=own_origin.url)
        for _ in range(300):
            clients.enter_context(Client(shim.ops)).send_what_is_taken(b"G")
        assert ask(shim.ops, request("GET", "/live")).status == 200
        assert ask(shim.proxy, request()).status == 200
        assert shim.descriptors() < 100

    def test_another_address_has_a_share_of_its_own(
        self, own_origin: Origin, start: Callable[..., Shim], clients: contextlib.ExitStack
    ) -> None:
        """One that takes all it may leaves the rest to others."""
        shim = start("--max-connections-per-address", "2", upstream=own_origin.url)
        for _ in range(2):
            clients.enter_context(Client(shim.proxy)).ask(request())
        refused = one_too_many(shim)
        assert refused is not None
        assert refused.status == 503
        where = urlsplit(shim.proxy)
        other = socket.create_connection(
            (where.hostname, where.port), 5, source_address=("127.0.0.2", 0)
        )
        with other:
            other.sendall(request())
            assert other.recv(4096).startswith(b"HTTP/1.1 200 ")

    def test_callers_over_a_unix_socket_share_no_address(
        self,
        own_origin: Origin,
        start: Callable[..., Shim],
        clients: contextlib.ExitStack,
        tmp_path: object,
    ) -> None:
        """The limit in all is theirs too."""
        shim = start(
            *("--max-connections-per-address", "1", "--max-connections", "3"),
            listen=f"unix:{tmp_path}/s",
            upstream=own_origin.url,
        )
        held = [clients.enter_context(Client(shim.proxy)) for _ in range(3)]
        assert [one.ask(request()).status for one in held] == [200] * 3
        refused = one_too_many(shim)
        assert refused is not None
        assert refused.status == 503

    # With 1024 descriptors as the soft limit a thousand idle callers stopped it for all.
    def test_descriptors_are_kept_back_for_those_who_are_served(
        self, own_origin: Origin, start: Callable[..., Shim], clients: contextlib.ExitStack
    ) -> None:
        """The soft limit is raised, said once; refused in turn, and held connections go on."""
        shim = start(within=["prlimit", "--nofile=64:120"], upstream=own_origin.url)
        limited = shim.event("connections_limited")
        assert limited["descriptors"] == 120
        held = [clients.enter_context(Client(shim.proxy)) for _ in range(limited["callers"])]
        assert len(held) > 30
        assert [one.ask(request()).status for one in held] == [200] * len(held)
        for _ in range(50):
            refused = one_too_many(shim)
            assert refused is not None
            assert refused.status == 503
        assert [one.ask(request()).status for one in held] == [200] * len(held)
        assert [one.ask(OLD_CALL).status for one in held] == [202] * len(held)
        for one in held[:10]:
            one.close()
        wait_until(lambda: sample(shim, "connections") == len(held) - 10)
        assert [ask(shim.proxy, request()).status for _ in range(10)] == [200] * 10
        assert len([one for one in shim.events if one["event"] == "connections_limited"]) == 1


class TestRequests:
    """`--max-requests-per-connection` and `--head-timeout`."""

    @pytest.mark.parametrize("asked", [request(), OLD_CALL, request("POST", "/", b"Expect: x")])
    def test_the_last_request_on_a_connection_is_answered_and_told_so(
        self, asked: bytes, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """`Connection: close`, not a word before, and then the connection ends."""
        shim = start("--max-requests-per-connection", "3", upstream=own_origin.url)
        with Client(shim.proxy) as client:
            fields = [client.ask(asked).header(b"connection") for _ in range(3)]
            assert fields == [None, None, b"close"]
            assert client.closed()

    def test_a_head_has_its_time_from_its_first_byte(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """However steadily it trickles: 408."""
        shim = start("--head-timeout", "300ms", upstream=own_origin.url)
        with Client(shim.proxy) as client, timed(3):
            client.drip(request("GET", "/", b"X-Long: " + b"x" * 40)[:-1], pause=0.02)
            assert client.read().status == 408
        assert own_origin.heard == b""


class TestUpstream:
    """`--max-upstream-connections` and `--max-waiting`."""

    def test_requests_wait_their_turn_and_one_too_many_is_told_so(
        self, own_origin: Origin, start: Callable[..., Shim], clients: contextlib.ExitStack
    ) -> None:
        """In the order they came, over the connections there are."""
        own_origin.script = gate = Gate()
        shim = start(
            *("--max-upstream-connections", "2", "--max-waiting", "3"), upstream=own_origin.url
        )
        asking = [clients.enter_context(Client(shim.proxy)) for _ in range(5)]
        for at, client in enumerate(asking):
            client.send(request("GET", f"/{at}"))
            if at < 2:
                own_origin.wait(at + 1)
        waiting = "upstream_waiting_requests"
        wait_until(lambda: sample(shim, waiting) == 3)
        refused = ask(shim.proxy, request())
        assert refused.status == 503
        assert "--max-waiting" in refused.json()["message"]
        assert ask(shim.proxy, OLD_CALL).status == 503
        assert sample(shim, "upstream_errors_total", kind="busy") == 2
        gate.open.set()
        assert [one.read().body for one in asking] == [b"/%d" % at for at in range(5)]
        assert sample(shim, waiting) == 0
        assert len(own_origin.connections) == 2
        assert ask(shim.proxy, request()).status == 200

    def test_who_waits_for_too_long_is_told_so(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """After `--upstream-timeout`, while an answer goes on and on."""
        own_origin.script = lambda connection, _: connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"
        )
        shim = start(
            *("--max-upstream-connections", "1", "--upstream-timeout", "300ms"),
            upstream=own_origin.url,
        )
        with Client(shim.proxy) as first:
            first.send(request())
            assert first.read_head().status == 200
            with timed(3):
                refused = ask(shim.proxy, request())
            assert refused.status == 503
            assert "--max-upstream-connections" in refused.json()["message"]

    # A request that met a closed connection was repeated on another one that had been kept.
    def test_at_the_limit_too_a_kept_connection_that_has_closed_fails_no_request(
        self, own_origin: Origin, start: Callable[..., Shim]
    ) -> None:
        """Upstream closes each after its answer, and does not say so."""
        own_origin.script = reply_and_close(EMPTY)
        shim = start("--max-upstream-connections", "2", upstream=own_origin.url)

        def asks(number: int) -> list[int]:
            data = OLD_CALL if number % 2 else request()
            with Client(shim.proxy) as client:
                return [client.ask(data).status for _ in range(40)]

        with ThreadPoolExecutor(8) as pool:
            found = set(chain.from_iterable(pool.map(asks, range(8))))
        assert found == {200, 202}

    def test_who_leaves_while_waiting_takes_no_turn_from_others(
        self, own_origin: Origin, start: Callable[..., Shim], clients: contextlib.ExitStack
    ) -> None:
        """Theirs is never asked, the next one's is; a connection that breaks makes room too."""
        own_origin.script = gate = Gate()
        shim = start("--max-upstream-connections", "1", upstream=own_origin.url)
        first, leaves, last = (clients.enter_context(Client(shim.proxy)) for _ in range(3))
        first.send(request("GET", "/first"))
        own_origin.wait()
        for waiting, (client, target) in enumerate([(leaves, "/leaves"), (last, "/last")], 1):
            client.send(request("GET", target))
            wait_until(
                lambda: sample(shim, "upstream_waiting_requests") == waiting  # noqa: B023
            )
        # Those who had left went on waiting, and kept others out of the line.
        leaves.close()
        wait_until(lambda: sample(shim, "upstream_waiting_requests") == 1)
        first.close()
        gate.open.set()
        assert last.read().body == b"/last"
        assert b"/leaves" not in own_origin.heard
