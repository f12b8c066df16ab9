"""The gateways before a shim and a real Restate."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.test_gateway import GATEWAYS
from tests.support.client import ask, request
from tests.support.paths import ROOT
from tests.support.running import Shim
from tests.support.tools import free_port, run, started
from tests.support.wanting import missing

pytestmark = [pytest.mark.deploy, pytest.mark.real, pytest.mark.timeout(240)]

_PACKAGE = "@restatedev/restate-server@1.6.2"
# An id that parses and that nobody has.
_UNKNOWN = "inv_1gdJBtdVEcM95mw1LLMMJY1Y0thJ9ugFGN"


def _server() -> str:
    folder = ROOT / ".demo/restate-1.6.2"
    program = folder / "node_modules/.bin/restate-server"
    if not program.exists():
        if shutil.which("npm") is None:
            missing("npm")
        npm = ("npm", "install", "--loglevel=error", "--no-audit", "--no-fund", "--prefix")
        run(*npm, str(folder), _PACKAGE, timeout=180)
    return str(program)


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real Restate and yield where its admin API is."""
    folder = tmp_path_factory.mktemp("restate")
    ports = {name: free_port() for name in ("ADMIN__", "INGRESS__", "")}
    addresses = {f"RESTATE_{name}BIND_ADDRESS": f"127.0.0.1:{port}" for name, port in ports.items()}
    command = [_server(), "--base-dir", str(folder), "--node-name", "n1", "--no-logo"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **addresses}, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{ports['ADMIN__']}"
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, EOFError):
                if ask(url, request("GET", "/health")).status == 200:
                    break
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < until, (folder / "log").read_text()[-3000:]
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def shim(admin: str) -> Iterator[Shim]:
    shim = Shim(upstream=admin)
    yield shim
    shim.stop()


@pytest.mark.parametrize("name", GATEWAYS)
def test_old_and_new_calls_through_a_gateway(
    name: str, tmp_path: Path, admin: str, shim: Shim
) -> None:
    port = free_port()
    behind = [url.removeprefix("http://") for url in (shim.proxy, admin)]
    url = f"http://127.0.0.1:{port}"
    with started(GATEWAYS[name](tmp_path, port, *behind), tmp_path / "log", port):
        old = ask(url, request("DELETE", f"/v2/invocations/{_UNKNOWN}?mode=kill"))
        assert (old.status, old.body) == (202, b"")
        assert old.header(b"x-restate-shim-upstream-status") == b"404"
        new = ask(url, request("PATCH", f"/invocations/{_UNKNOWN}/kill", b"Content-Length: 0"))
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
