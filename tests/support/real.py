"""Real servers, and invocations on them in any state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shim.demo.http import call
from shim.demo.node import InstallError, program
from shim.demo.restate import Restate
from tests.support.paths import ROOT
from tests.support.running import Shim
from tests.support.wanting import missing

UNKNOWN: Final = "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
MALFORMED: Final = "not-an-id"
GONE: Final = "gone"


def installed(package: str, version: str) -> Path:
    """Return the program from npm; without npm that skips the test, or fails it in CI."""
    try:
        return program(package, version, ROOT / ".demo")
    except InstallError as error:
        missing(str(error))


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
