"""Overlays for stacks that are there already: the shim beside Restate, and the ports swapped."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from shim.settings.declared import Settings
from shim.settings.loading import load
from tests.support.layouts import FACTS
from tests.support.paths import DEPLOY
from tests.support.pod import Pod
from tests.support.running import Shim
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

Services = dict[str, dict[str, Any]]

_ONE: Final = {
    "services": {
        "restate": {
            "image": "docker.restate.dev/restatedev/restate:1.6.2",
            "ports": ["8080:8080", "9070:9070"],
            "environment": {"RESTATE_NODE_NAME": "restate"},
        },
        "orders": {"image": "orders", "environment": {"ADMIN": "http://restate:9070"}},
    }
}
_STACKS: Final = {
    "overlay.yaml": _ONE,
    "three-nodes.yaml": yaml.safe_load((FACTS / "three-nodes.yaml").read_text()),
}

_SWAPS: Final = {"overlay.yaml": "swap.yaml", "three-nodes.yaml": "three-nodes-swap.yaml"}
_STEPS: Final = ("beside", "swap")


def _merged(base: Any, over: Any) -> Any:
    """Merge as compose does: maps by key, lists one behind the other, the rest is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        shared = {key: _merged(base[key], over[key]) for key in base.keys() & over.keys()}
        return {**base, **over, **shared}
    if isinstance(base, list) and isinstance(over, list):
        return base + over
    return over


def _overlay(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / name).read_text())
    return document


def _stack(name: str, step: str) -> dict[str, Any]:
    """Return the stack with its overlay, and in step 2 with the one that swaps the ports."""
    stack: dict[str, Any] = _merged(_STACKS[name], _overlay(name))
    if step == "swap":
        stack = _merged(stack, _overlay(_SWAPS[name]))
    return stack


def _pairs(name: str, step: str = "swap") -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield the name of each Restate with its service, and the shim in its network."""
    services: Services = _stack(name, step)["services"]
    for shim in services.values():
        mode = shim.get("network_mode", "")
        if mode.startswith("service:"):
            restate = mode.removeprefix("service:")
            yield restate, services[restate], shim


def _settings(shim: dict[str, Any]) -> Settings:
    return load({}, dict(shim["environment"]), None)


@pytest.mark.parametrize("step", _STEPS)
@pytest.mark.parametrize("name", _STACKS)
def test_compose_takes_the_stack_with_its_overlay(name: str, step: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(_stack(name, step)))
    checker = tool("check-jsonschema", "PyPI check-jsonschema")
    run(checker, "--builtin-schema", "vendor.compose-spec", str(file))


@pytest.mark.parametrize(("name", "nodes"), [("overlay.yaml", 1), ("three-nodes.yaml", 3)])
def test_each_restate_has_a_shim_of_its_own_that_takes_its_port(name: str, nodes: int) -> None:
    pairs = list(_pairs(name))
    assert len(pairs) == nodes
    for node, restate, shim in pairs:
        settings = _settings(shim)
        (upstream,) = settings.upstream
        moved = restate["environment"]["RESTATE_ADMIN__BIND_ADDRESS"]
        assert moved == f"{upstream.host}:{upstream.port}" == "127.0.0.1:9072"
        assert (settings.listen.host, settings.listen.port) == ("::", 9070)
        assert settings.instance == node
        assert shim["depends_on"][node] == {"condition": "service_started", "restart": True}


@pytest.mark.parametrize("name", _STACKS)
def test_what_is_applied_first_changes_nothing_for_callers(name: str) -> None:
    # The first command was the swap.
    services: Services = _stack(name, "beside")["services"]
    for service, before in _STACKS[name]["services"].items():
        assert {**services[service], "ports": before.get("ports")} == {"ports": None, **before}
    for _, _, shim in _pairs(name, "beside"):
        settings = _settings(shim)
        assert "SHIM_LISTEN" not in shim["environment"], "the image's own, which nobody asks yet"
        assert [f"{one.host}:{one.port}" for one in settings.upstream] == ["127.0.0.1:9070"]


@pytest.mark.parametrize("name", _STACKS)
def test_the_second_step_moves_the_addresses_and_nothing_else(name: str) -> None:
    for service, changed in _overlay(_SWAPS[name])["services"].items():
        assert service in _stack(name, "beside")["services"]
        assert list(changed) == ["environment"]
        moving = {"RESTATE_ADMIN__BIND_ADDRESS", "SHIM_LISTEN", "SHIM_UPSTREAM"}
        assert changed["environment"].keys() <= moving


@pytest.mark.parametrize("step", _STEPS)
@pytest.mark.parametrize("name", _STACKS)
def test_what_was_published_and_set_stays(name: str, step: str) -> None:
    services: Services = _stack(name, step)["services"]
    for service, before in _STACKS[name]["services"].items():
        after = services[service]
        assert after["ports"][: len(before["ports"])] == before["ports"] if "ports" in before else 1
        assert before.get("environment", {}).items() <= after.get("environment", {}).items()
        added = after.get("ports", [])[len(before.get("ports", [])) :]
        assert all(port.startswith("127.0.0.1:") for port in added), "the page asks nobody"


def test_the_three_share_one_record_and_know_how_many_they_are() -> None:
    pairs = list(_pairs("three-nodes.yaml"))
    settings = [_settings(shim) for _, _, shim in pairs]
    (fleet,) = {one.fleet for one in settings}
    assert fleet is not None
    names = {node for node, _, _ in pairs}
    for one in settings:
        assert one.instances is not None
        assert not isinstance(one.instances, int)
        assert set(one.instances) == names
    volumes = {shim["volumes"][0] for _, _, shim in pairs}
    assert len(volumes) == 3, "a ledger is one shim's"
    declared = set(_overlay("three-nodes.yaml")["volumes"])
    assert {volume.split(":")[0] for volume in volumes} <= declared


@pytest.mark.parametrize("name", _STACKS)
def test_a_shim_is_given_the_time_it_takes_to_end(name: str) -> None:
    for _, _, shim in _pairs(name):
        grace = _settings(shim).shutdown_grace.total_seconds()
        assert int(shim["stop_grace_period"].removesuffix("s")) > grace
        assert shim["restart"] == "unless-stopped", "else it would not come back"


def test_all_shims_look_for_restate_in_the_same_way() -> None:
    checks = [shim["healthcheck"] for name in _STACKS for _, _, shim in _pairs(name)]
    assert all(check == checks[0] for check in checks)


def test_a_shim_that_finds_no_restate_ends_and_one_that_does_goes_on() -> None:
    # A network ends with its container: in the old one a shim would wait for ever, while nobody
    # listens in Restate's new one.
    (_, _, shim) = next(_pairs("overlay.yaml"))
    command, program, option, script = shim["healthcheck"]["test"]
    assert (command, program, option) == ("CMD", "python", "-c")
    environ = {"SHIM_UPSTREAM": shim["environment"]["SHIM_UPSTREAM"]}

    with Pod() as pod, contextlib.ExitStack() as stack:
        # Its process is the first one of its namespace, as it is of its container, and sees its own
        # processes in /proc.
        apart = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child=SIGKILL")
        running = pod.do(lambda: Shim(upstream=environ["SHIM_UPSTREAM"], within=apart))
        stack.callback(running.stop)
        (inner,) = (
            Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
            .read_text()
            .split()
        )

        def look(after: int) -> bool:
            said = script.replace("> 120", f"> {after}")
            assert said != script or after == 120
            there = ["nsenter", f"--target={inner}", "--pid", "--mount", "--"]
            done = subprocess.run(
                [*there, sys.executable, option, said],
                env=environ,
                capture_output=True,
                timeout=20,
                check=False,
            )
            assert b"Traceback" not in done.stderr, done.stderr
            return done.returncode == 0

        with pod.do(socket.create_server, ("127.0.0.1", 9072)):
            assert pod.do(look, 0)
        # A Restate that takes its time: the shim was ended by its first probe, after 5 s.
        assert not pod.do(look, 120)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(2)
        assert not pod.do(look, 0)
        assert running.wait(20) == 0, "in order, and Docker starts it again"
        assert b"Traceback" not in running.stderr


@pytest.mark.parametrize("name", _STACKS)
def test_a_restate_that_takes_its_time_does_not_make_the_shim_unhealthy(name: str) -> None:
    for _, _, shim in _pairs(name):
        check = shim["healthcheck"]
        assert check["start_period"] == "2m"
        assert "> 120:" in check["test"][-1], "and it does not end before"
