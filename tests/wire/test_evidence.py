"""What the ledger of a shim that runs, was stopped or was killed proves to `report`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .client import ask, request
from .origin import Origin
from .running import ROOT, Shim, environment

WINDOW = 4.0
USE = request("DELETE", "/invocations/inv_1?mode=kill")


def verdict(ledger: Path, window: str = f"{WINDOW:g}s") -> tuple[int, str]:
    command = [sys.executable, "-m", "shim", "report", "--ledger", str(ledger), "--format", "json"]
    done = subprocess.run(
        [*command, "--fail-if-used-within", window],
        capture_output=True,
        check=False,
        env=environment(),
        cwd=ROOT,
        timeout=30,
    )
    return done.returncode, json.loads(done.stdout)["verdict"]["status"]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_shim_that_runs_proves_even_a_short_silence(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    # Heartbeats ten seconds apart proved nothing about a window of four.
    shim = start("--ledger", str(ledger), upstream=origin.url)
    assert verdict(ledger) == (4, "unproven")
    assert ask(shim.proxy, USE).status == 202
    assert verdict(ledger) == (3, "in_use")
    time.sleep(WINDOW + 1)
    assert [verdict(ledger) for _ in range(5)] == [(0, "safe")] * 5
    assert verdict(ledger, "1h") == (3, "in_use")


def test_a_shim_that_was_killed_proves_nothing_about_the_time_since(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), upstream=origin.url)
    time.sleep(WINDOW + 0.5)
    assert verdict(ledger) == (0, "safe")
    shim.process.kill()
    shim.process.wait()
    time.sleep(WINDOW / 2 + 0.1)
    assert verdict(ledger) == (4, "unproven")


@pytest.mark.parametrize(("signal", "expected"), [("terminate", 0), ("kill", 4)])
def test_one_that_was_stopped_in_order_is_not_missed_while_another_records(
    signal: str, expected: int, ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    # A pod that a rolling update had replaced left the verdict unproven for the whole window.
    old = start("--ledger", str(ledger), "--instance", "pod-old", upstream=origin.url)
    start("--ledger", str(ledger), "--instance", "pod-new", upstream=origin.url)
    time.sleep(WINDOW - 1)
    getattr(old.process, signal)()
    old.process.wait()
    time.sleep(WINDOW - 1)
    assert verdict(ledger)[0] == expected


def test_a_ledger_that_cannot_be_read_is_an_alarm_on_the_page(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    # The page was an error in JSON, which whoever watches it takes for a broken shim.
    ledger.write_bytes(b"no database at all" * 1000)
    shim = start("--ledger", str(ledger), upstream=origin.url)
    assert ask(shim.proxy, USE).status == 202
    page = ask(shim.ops, request("GET", "/usage"))
    assert page.status == 200
    assert b"The ledger is not recording: the ledger " in page.body
    assert b"Not proven" in page.body
    assert ask(shim.ops, request("GET", "/usage.json")).status == 503
    assert ask(shim.ops, request("GET", "/ready")).status == 503
