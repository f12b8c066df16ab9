"""What runs for these tests: a real server, and the shim before it, as users start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shim.demo.http import call
from shim.demo.node import InstallError, program
from shim.demo.restate import Restate
from shim.ledger.records import NEAR_MISS_EVENT, USE_EVENT
from tests.support.paths import ROOT
from tests.support.wanting import missing

UNKNOWN: Final = "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
MALFORMED: Final = "not-an-id"
GONE: Final = "gone"
_SECONDS: Final = 20.0


def installed(package: str, version: str) -> Path:
    """Return the program from npm; without npm that skips the test, or fails it in CI."""
    try:
        return program(package, version, ROOT / ".demo")
    except InstallError as error:
        missing(str(error))


@dataclass
class Shim:
    """A running shim: where it listens, and the events it has logged so far."""

    proxy: str = ""
    ops: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def uses(self) -> list[dict[str, Any]]:
        """The records of calls to the deprecated route."""
        return [event for event in list(self.events) if event["event"] == USE_EVENT]

    @property
    def near_misses(self) -> list[dict[str, Any]]:
        """The records of calls beside the routes."""
        return [event for event in list(self.events) if event["event"] == NEAR_MISS_EVENT]

    def wait_for_uses(self, user_agent: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the uses of one caller once there are ``count``, or those there are in the end."""
        until = time.monotonic() + 5.0
        while True:
            found = [use for use in self.uses if use["user_agent"] == user_agent]
            if len(found) >= count or time.monotonic() > until:
                return found
            time.sleep(0.02)


@contextmanager
def running_shim(upstream: str, folder: Path, *arguments: str) -> Iterator[Shim]:
    """Run the shim before ``upstream`` with its ledger and its log in ``folder``."""
    command = [sys.executable, "-m", "shim", "serve", "--upstream", upstream, *arguments]
    command += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
    command += ["--ledger", str(folder / "ledger.db")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SHIM_")}
    errors = folder / "shim.stderr"
    with errors.open("wb") as stderr:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environ,
            cwd=ROOT,
        )
    assert popen.stdout is not None
    lines = popen.stdout
    shim = Shim()
    ready = threading.Event()

    def read() -> None:
        for line in lines:
            event = json.loads(line)
            shim.events.append(event)
            if event["event"] == "listening":
                shim.proxy, shim.ops = event["proxy"], event["ops"]
                ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(_SECONDS), f"the shim did not start: {errors.read_text()}"
        yield shim
    finally:
        popen.terminate()
        try:
            popen.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        reader.join(_SECONDS)
        lines.close()


@dataclass(frozen=True, slots=True)
class Real:
    """A real server of some version with a shim before it."""

    version: str
    restate: Restate
    shim: Shim


# How to bring an invocation into a state, and what Restate calls that state.
_SENDS: Final = {
    "running": ("Orders/work", None),
    "completed": ("Orders/quick", None),
    "scheduled": ("Orders/quick", "1h"),
    "pending": ("Cart/held/hold", None),
    "suspended": ("Orders/nap", None),
    "backing-off": ("Orders/flap", None),
    # Whatever fails for long enough is paused; these are at once.
    "paused": ("Orders/flap", None),
}


def states_of(restate: Restate, ids: list[str]) -> list[str]:
    """Return the state of each invocation, ``gone`` for those that there are not (any more)."""
    # The server refuses a question for a malformed id.
    asked = sorted({one for one in ids if one.startswith("inv_")})
    found: dict[str, str] = {}
    for start in range(0, len(asked), 100):
        found |= restate.states(*asked[start : start + 100])
    return [found.get(one, GONE) for one in ids]


def invocations(restate: Restate, states: list[str]) -> list[str]:
    """Return one new invocation for each of ``states``, once every one of them is in it.

    ``unknown`` and ``malformed`` are the ids of no invocation.
    """
    if "pending" in states:
        # The object may be free still, or again: the first one holds it for all the others.
        holder = restate.send("Cart/held/hold")
        restate.wait([holder], lambda state: state in {"running", "suspended", "pending"})

    def send(state: str) -> str:
        if state not in _SENDS:
            return {"unknown": UNKNOWN, "malformed": MALFORMED}[state]
        handler, delay = _SENDS[state]
        return restate.send(handler, delay=delay)

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(send, states))
    for one, state in zip(ids, states, strict=True):
        if state == "paused":
            restate.wait([one], lambda got: got == "backing-off")
            assert call(restate.admin, "PATCH", f"/invocations/{one}/pause").status < 300
    for state in _SENDS:
        wanted = [one for one, its in zip(ids, states, strict=True) if its == state]
        if wanted:
            restate.wait(wanted, lambda got, want=state: (got or "").startswith(want))  # type: ignore[misc]  # bound now
    return ids
