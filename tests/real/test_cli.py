"""Restate's own command line, pointed at the shim instead of the server."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from shim.demo.node import CLI
from tests.support.real import GONE, Real, installed, invocations, states_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SQL: Final = "select id, target, status from sys_invocation where id = '{id}'"
# Commands and what of their output is the same each time; the rest are ages, and what other tests
# leave behind.
LOOKING: Final = {
    "deployments list": (["deployments", "list"], "http://1"),
    "services list": (["services", "list"], "Orders"),
    "invocations list": (["invocations", "list", "--all", "--limit", "10000"], "{id}"),
    "invocations describe": (["invocations", "describe", "{id}"], "Orders"),
    "sql": (["sql", "--json", SQL], "{id}"),
}


@dataclass(frozen=True, slots=True)
class Doing:
    """A command, the state it is good for, and what becomes of the invocation."""

    words: str
    state: str
    effect: str


DOING: Final = [
    Doing("cancel", "running", "completed [409] cancelled"),
    Doing("cancel", "scheduled", GONE),
    Doing("cancel", "suspended", "completed [409] cancelled"),
    Doing("cancel --kill", "running", "completed [409] killed"),
    Doing("kill", "running", "completed [409] killed"),
    Doing("purge", "completed", GONE),
]


@pytest.fixture(scope="session", params=["1.5.2", "1.6.2", "1.7.12"])
def cli(request: pytest.FixtureRequest) -> Path:
    return installed(CLI, request.param)


def run(cli: Path, base: str, words: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1", "DO_NOT_TRACK": "1"}
    return subprocess.run(
        [str(cli), "-y", *words],
        env={**environ, "RESTATE_ADMIN_URL": base},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("looking", LOOKING)
def test_looking_through_the_shim_shows_the_same(
    real: Real, cli: Path, tmp_path: Path, looking: str
) -> None:
    (invocation_id,) = invocations(real.restate, ["completed"])
    template, shown = LOOKING[looking]
    words = [word.format(id=invocation_id) for word in template]
    direct = run(cli, real.restate.admin, words, tmp_path)
    shimmed = run(cli, real.shim.proxy, words, tmp_path)
    assert (direct.returncode, shimmed.returncode) == (0, 0), shimmed.stderr
    for output in (direct.stdout, shimmed.stdout):
        assert shown.format(id=invocation_id) in output


def test_what_the_server_refuses_the_command_line_tells_alike(
    real: Real, cli: Path, tmp_path: Path
) -> None:
    words = ["sql", "--json", "select nonsense"]
    direct, shimmed = (
        run(cli, base, words, tmp_path) for base in (real.restate.admin, real.shim.proxy)
    )
    assert direct.returncode != 0
    assert shimmed.returncode == direct.returncode
    assert "nonsense" in direct.stdout + direct.stderr
    assert "nonsense" in shimmed.stdout + shimmed.stderr


@pytest.mark.parametrize("doing", DOING, ids=lambda one: f"{one.words} {one.state}")
def test_doing_it_through_the_shim_does_the_same(
    real: Real, cli: Path, tmp_path: Path, doing: Doing
) -> None:
    ids = invocations(real.restate, [doing.state] * 2)
    codes = []
    for base, invocation_id in zip((real.restate.admin, real.shim.proxy), ids, strict=True):
        words = ["invocations", *doing.words.split(), invocation_id]
        done = run(cli, base, words, tmp_path)
        codes.append(done.returncode)
        assert done.returncode == 0, f"{base}: {done.stdout}{done.stderr}"
    wait_until(
        lambda: states_of(real.restate, ids) == [doing.effect] * 2,
        within=15,
        said=lambda: f"{states_of(real.restate, ids)}, and not {doing.effect}",
    )
    assert codes == [0, 0]
