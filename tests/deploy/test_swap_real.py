"""The port swap with a real Restate, its command line and its web UI, in a network like a pod's.

What runs is what the manifests say: the environment of both containers, the ports as they are.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shim.demo.http import call
from shim.demo.node import CLI, SERVER
from shim.demo.restate import process
from tests.support.kubernetes import Resource, only, render
from tests.support.layouts import overlay
from tests.support.pod import Pod
from tests.support.real import UNKNOWN, installed
from tests.support.running import Shim, restate_shim
from tests.support.tools import needs_module, tool
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.deploy, pytest.mark.real, pytest.mark.timeout(300)]

ADMIN = "http://127.0.0.1:9070"
INGRESS = "http://127.0.0.1:8080"


def _values(container: Resource) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


class Node:
    """A pod of the StatefulSet: Restate as its manifest says, with the shim or without."""

    def __init__(self, folder: Path, version: str) -> None:
        self.pod = Pod()
        self._server = installed(SERVER, version)
        self._cli = installed(CLI, "1.7.12")
        self._folder = folder

    def restate(self, *components: str) -> contextlib.AbstractContextManager[Resource]:
        """Run Restate with the environment that these components give it."""
        place = overlay(self._folder / ("-".join(components) or "none"), "example", *components)
        return self._running(render(place))

    @contextlib.contextmanager
    def _running(self, manifests: list[Resource]) -> Iterator[Resource]:
        spec = only(manifests, "StatefulSet")["spec"]["template"]["spec"]
        own = _values(spec["containers"][0]) | {"RESTATE_NODE_NAME": "restate-0"}
        environ = {**os.environ, **own, "DO_NOT_TRACK": "1"}
        data = ["--base-dir", str(self._folder / "data"), "--no-logo"]
        log = self._folder / "restate.log"
        with ExitStack() as stack:
            running = process([str(self._server), *data], log, environ)
            self.pod.do(stack.enter_context, running)
            wait_until(self._healthy, within=60, said=log.read_text)
            yield spec

    def _healthy(self) -> bool:
        with contextlib.suppress(OSError):
            return self.pod.do(call, INGRESS, "GET", "/restate/health").status == 200
        return False

    @contextlib.contextmanager
    def shim(self, spec: Resource) -> Iterator[Shim]:
        """Run the shim with the addresses that its container has."""
        (container,) = [one for one in spec["initContainers"] if one["name"] == "restate-shim"]
        values = _values(container)
        # The image's default, as test_image holds it.
        listen = values.get("SHIM_LISTEN", "[::]:9170")
        with self.pod.do(lambda: Shim(upstream=values["SHIM_UPSTREAM"], listen=listen)) as shim:
            yield shim

    def cli(self, *words: str) -> str:
        """Run Restate's command line as one would in the pod: it asks localhost:9070 by itself."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "NO_COLOR": "1"}
        done = self.pod.do(
            lambda: subprocess.run(
                [str(self._cli), "-y", *words],
                env={**environ, "DO_NOT_TRACK": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def old_call(self, base: str = ADMIN) -> int:
        """Make the deprecated call, and return its status."""
        path = f"/v2/invocations/{UNKNOWN}?mode=kill"
        return self.pod.do(call, base, "DELETE", path).status


@pytest.fixture(scope="module", params=["1.6.2", "1.7.12"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    # Not pytest's folder: its long name would not fit into the address of a Unix socket.
    with tempfile.TemporaryDirectory(prefix="shim-swap-") as name:
        folder = Path(name)
        node = Node(folder, request.param)
        service = process([sys.executable, "-m", "shim.demo.service", "9080"], folder / "service")
        with node.pod, ExitStack() as stack:
            node.pod.do(stack.enter_context, service)
            with node.restate():
                uri = {"uri": "http://127.0.0.1:9080"}

                def registered() -> bool:
                    return node.pod.do(call, ADMIN, "POST", "/deployments", body=uri).status < 300

                wait_until(registered, within=30)
                node.pod.do(call, INGRESS, "POST", "/Orders/work/send", body="x")
            yield node


def test_beside_restate_the_shim_is_ready_and_nobody_notices_it(node: Node) -> None:
    with node.restate("sidecar", "names") as spec, node.shim(spec) as shim:
        ready = node.pod.do(call, shim.ops, "GET", "/ready")
        assert ready.status == 200, ready.body
        done = node.pod.do(lambda: restate_shim("check", "--upstream", ADMIN))
        assert done.returncode == 0, done.stdout
        assert "Orders" in node.cli("services", "list")
        assert node.old_call() == 202
        assert shim.uses == [], "it is not on callers' way yet"
        # The image's own port, on both families.
        for host in ("127.0.0.1", "[::1]"):
            assert node.old_call(f"http://{host}:9170") == 202


def test_with_the_ports_swapped_calls_inside_the_pod_are_seen(node: Node) -> None:
    with node.restate("sidecar", "names", "swap") as spec, node.shim(spec) as shim:
        assert shim.proxy == "http://[::]:9070"
        assert "Orders" in node.cli("services", "list"), "what was there is there"
        assert node.cli("sql", "--json", "select id from sys_invocation").count("inv_") == 1
        # By name, by either family: all of them reached Restate itself, and none was seen.
        for base in ("http://localhost:9070", ADMIN, "http://[::1]:9070"):
            assert node.old_call(base) == 202
            assert node.pod.do(call, base, "GET", "/health").status == 200
        wait_until(lambda: len(shim.uses) == 3)
        assert {use["upstream_status"] for use in shim.uses} == {404}
        assert {use["client_address"] for use in shim.uses} <= {"127.0.0.1", "::1"}
        # Restate's own port is on the loopback address, and on that family alone.
        assert node.pod.do(call, "http://127.0.0.1:9072", "GET", "/health").status == 200
        with pytest.raises(ConnectionRefusedError):
            node.pod.do(call, "http://[::1]:9072", "GET", "/health")


@pytest.mark.browser
def test_with_the_ports_swapped_the_web_ui_works(node: Node) -> None:
    chromium = tool("chromium", "Debian chromium")
    needs_module("playwright", "playwright")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

    def look() -> None:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - may be missing

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto("http://localhost:9070/ui/", wait_until="domcontentloaded")
            page.goto("http://localhost:9070/ui/invocations", wait_until="domcontentloaded")
            page.get_by_text(re.compile(r"^work\b")).first.wait_for(timeout=120_000)
            browser.close()

    with node.restate("sidecar", "names", "swap") as spec, node.shim(spec):
        node.pod.do(look)


def test_a_shim_that_is_away_takes_the_admin_api_with_it_and_nothing_else(node: Node) -> None:
    # deploy/README.md says what a sidecar that does not start does to Restate.
    with node.restate("sidecar", "names", "swap"):
        with pytest.raises(ConnectionRefusedError):
            node.pod.do(call, ADMIN, "GET", "/health")
        assert node.pod.do(call, INGRESS, "GET", "/restate/health").status == 200
        quick = node.pod.do(call, INGRESS, "POST", "/Orders/quick", body="x")
        assert quick.json() == "x: done"


def test_taken_out_again_everything_is_as_it_was(node: Node) -> None:
    with node.restate() as spec:
        assert "initContainers" not in spec
        assert "Orders" in node.cli("services", "list")
        assert node.old_call() == 202
