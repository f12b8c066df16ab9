"""The gateways before a shim and a real Restate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shim.demo.node import SERVER
from shim.demo.restate import restate_server
from tests.support.client import ask, request
from tests.support.gateways import GATEWAYS
from tests.support.real import UNKNOWN, installed
from tests.support.running import Shim
from tests.support.tools import free_port, started
from tests.wire.test_http2_clients import envoy, nginx

pytestmark = [pytest.mark.deploy, pytest.mark.real, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real Restate and yield where its admin API is."""
    program = installed(SERVER, "1.6.2")
    with restate_server(program, tmp_path_factory.mktemp("restate")) as restate:
        yield restate.admin


@pytest.fixture(scope="module")
def shim(admin: str) -> Iterator[Shim]:
    shim = Shim(upstream=admin)
    yield shim
    shim.stop()


def _exchanges(shim: Shim) -> float:
    """Count the requests that the shim has answered."""
    shown = ask(shim.ops, request("GET", "/metrics")).body.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
        if sample.name == "restate_shim_requests_total"
    )


def _calls(url: str, admin: str) -> None:
    """Make old, new and other calls, whose answers are to be those of the real Restate."""
    old = ask(url, request("DELETE", f"/v2/invocations/{UNKNOWN}?mode=kill"))
    assert (old.status, old.body) == (202, b"")
    assert old.header(b"x-restate-shim-upstream-status") == b"404"
    new = ask(url, request("PATCH", f"/invocations/{UNKNOWN}/kill", b"Content-Length: 0"))
    assert new.status == 404
    assert new.json()["message"]
    direct = ask(admin, request("GET", "/version"))
    through = ask(url, request("GET", "/version"))
    assert (through.status, through.body) == (direct.status, direct.body)
    body = json.dumps({"query": "select 1 as one"}).encode()
    fields = (
        b"Content-Type: application/json",
        b"Accept: application/json",
        b"Content-Length: %d" % len(body),
    )
    rows = ask(url, request("POST", "/query", *fields, body=body)).json()["rows"]
    assert rows == [{"one": 1}]
    page = ask(url, request("GET", "/ui/"))
    assert page.status == 200
    assert b"<html" in page.body.lower()


@pytest.mark.parametrize("name", GATEWAYS)
def test_old_and_new_calls_through_a_gateway(
    name: str, tmp_path: Path, admin: str, shim: Shim
) -> None:
    port = free_port()
    behind = [url.removeprefix("http://") for url in (shim.proxy, admin)]
    with started(GATEWAYS[name](tmp_path, port, *behind), tmp_path / "log", port):
        _calls(f"http://127.0.0.1:{port}", admin)


@pytest.mark.parametrize("gateway", [nginx, envoy])
def test_old_and_new_calls_through_a_gateway_that_speaks_http_2(
    gateway: Callable[[Path, int, str], list[str]], tmp_path: Path, admin: str, shim: Shim
) -> None:
    # As gateways do where the port of the Service says kubernetes.io/h2c.
    port = free_port()
    with started(gateway(tmp_path, port, shim.proxy), tmp_path / "log", port):
        before = _exchanges(shim)
        _calls(f"http://127.0.0.1:{port}", admin)
        assert _exchanges(shim) - before >= 5, "all of them came through the shim"
