"""Every state, mode and version of the API: the old route directly, and through the shim."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product, starmap
from typing import Any, Final

import pytest

from shim.demo.http import Response, call
from tests.support.paths import CONTRACT
from tests.support.real import GONE, MALFORMED, UNKNOWN, Real, invocations, states_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

STATES: Final = [
    "running",
    "completed",
    "scheduled",
    "pending",
    "suspended",
    "backing-off",
    "paused",
    "unknown",
    "malformed",
]
MODES: Final = [None, "cancel", "Cancel", "kill", "Kill", "purge", "Purge"]
FEW_MODES: Final = [None, "kill", "Purge"]
# /v4 came with 1.7; on 1.6.2 it is one more version that is not served, like /v1 and /v5 on both.
PREFIXES: Final = {"1.6.2": ["", "/v2", "/v3"], "1.7.12": ["", "/v2", "/v3", "/v4"]}
SETTLE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """One old call, to be made twice."""

    state: str
    mode: str | None
    prefix: str

    def __str__(self) -> str:
        version = self.prefix.removeprefix("/") or "bare"
        return f"{self.state}-{self.mode or 'absent'}-{version}"

    @property
    def new_mode(self) -> str:
        return (self.mode or "cancel").lower()

    def target(self, invocation_id: str) -> str:
        query = f"?mode={self.mode}" if self.mode else ""
        return f"{self.prefix}/invocations/{invocation_id}{query}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the caller got, with its own id masked, and what became of the invocation."""

    status: int
    content_type: str | None
    body: str
    effect: str


@dataclass(frozen=True, slots=True)
class Pair:
    """The two outcomes, and what the shim recorded about its one."""

    direct: Outcome
    shimmed: Outcome
    records: list[dict[str, Any]]


ROWS: Final = [
    *starmap(Row, product(STATES, MODES, PREFIXES["1.7.12"])),
    *starmap(Row, product(STATES, FEW_MODES, ("/v1", "/v5"))),
]


def user_agent(row: Row) -> str:
    return f"contract/{row}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed: the effect of the old call, and the status of the new one's answer."""

    effect: str
    patch_status: int


def observed(version: str) -> dict[tuple[str, str], Seen]:
    """Return what was observed, by state and mode."""
    found = {}
    for seen in json.loads((CONTRACT / f"observed-{version}.json").read_text())["states"]:
        state = {"inboxed": "pending"}.get(seen["state"], seen["state"])
        after = seen["after_delete"]
        end = after and (after.get("completion_failure") or after.get("completion_result"))
        effect = " ".join(filter(None, (after["status"], end))) if after else GONE
        found[state, seen["mode"]] = Seen(effect, seen["patch"]["status"])
    for mode in ("cancel", "kill", "purge"):
        # The observations leave these out. They differ from a running one in their name, and in
        # that a handler that fails before it looks for a cancellation goes on failing.
        running = found["running", mode]
        for state in ("suspended", "backing-off", "paused"):
            effect = running.effect.replace("running", state)
            if mode == "cancel" and state != "suspended":
                effect = "backing-off"
            found[state, mode] = Seen(effect, running.patch_status)
    return found


@pytest.fixture(scope="module")
def expected(real: Real) -> dict[Row, str]:
    """Tell what each row brings about; a call to a version that is not served does nothing."""
    seen = observed(real.version)
    result = {}
    for row in ROWS:
        # Where nothing happens the state shows itself: a purge does nothing to what runs, and a
        # cancel nothing to what is completed.
        idle = "cancel" if row.state == "completed" else "purge"
        done = row.new_mode if row.prefix in PREFIXES[real.version] else idle
        result[row] = seen[row.state, done].effect
    return result


@pytest.fixture(scope="module")
def pairs(real: Real, expected: dict[Row, str]) -> dict[Row, Pair]:
    """Make all calls at once, so that all of them settle in the time of one."""
    ids = invocations(real.restate, [row.state for row in ROWS] * 2)
    direct_ids, shimmed_ids = ids[: len(ROWS)], ids[len(ROWS) :]

    def ask(base: str, row: Row, invocation_id: str) -> Response:
        headers = {"User-Agent": user_agent(row)}
        return call(base, "DELETE", row.target(invocation_id), headers=headers)

    with ThreadPoolExecutor(8) as pool:
        direct = list(pool.map(ask, [real.restate.admin] * len(ROWS), ROWS, direct_ids))
        shimmed = list(pool.map(ask, [real.shim.proxy] * len(ROWS), ROWS, shimmed_ids))
    wanted = [expected[row] for row in ROWS] * 2

    def states() -> list[str]:
        # What goes on failing is running for a moment, whenever it is tried again.
        return [
            want if (want, state) == ("backing-off", "running") else state
            for want, state in zip(wanted, states_of(real.restate, ids), strict=True)
        ]

    # Each row judges its own: what has not come about by now is wrong.
    with contextlib.suppress(AssertionError):
        wait_until(lambda: states() == wanted, SETTLE_SECONDS, every=0.2)
    effects = states()
    records: dict[str, list[dict[str, Any]]] = {}
    for use in real.shim.uses:
        records.setdefault(use["user_agent"], []).append(use)
    return {
        row: Pair(
            _outcome(direct[n], direct_ids[n], effects[n]),
            _outcome(shimmed[n], shimmed_ids[n], effects[len(ROWS) + n]),
            records.get(user_agent(row), []),
        )
        for n, row in enumerate(ROWS)
    }


def _outcome(answer: Response, invocation_id: str, effect: str) -> Outcome:
    body = answer.body.decode()
    if invocation_id not in {UNKNOWN, MALFORMED}:
        body = body.replace(invocation_id, "{invocation_id}")
    return Outcome(answer.status, answer.content_type, body, effect)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_shim_answers_and_does_what_the_old_route_does(
    pairs: dict[Row, Pair], row: Row
) -> None:
    assert pairs[row].shimmed == pairs[row].direct


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_call_through_the_shim_has_the_effect_that_was_observed(
    pairs: dict[Row, Pair], expected: dict[Row, str], row: Row
) -> None:
    assert pairs[row].shimmed.effect == expected[row]


@pytest.mark.parametrize("row", [row for row in ROWS if row.prefix != "/v1"], ids=str)
def test_upstream_got_the_new_call_instead(real: Real, pairs: dict[Row, Pair], row: Row) -> None:
    (record,) = pairs[row].records
    new_target = f"{row.prefix}/invocations/{record['invocation_id']}/{row.new_mode}"
    assert record["mode"] == row.new_mode
    assert record["replacement"] == f"PATCH {new_target}"
    if row.prefix in PREFIXES[real.version]:
        status = observed(real.version)[row.state, row.new_mode].patch_status
        assert (record["decision"], record["upstream_status"]) == ("translated", status)
    else:
        # The router knows neither call of a version to come.
        assert (record["decision"], record["upstream_status"]) == ("failed", 404)


@pytest.mark.parametrize("row", [row for row in ROWS if row.prefix == "/v1"], ids=str)
def test_a_version_that_is_gone_is_no_use_of_the_old_route(
    pairs: dict[Row, Pair], row: Row
) -> None:
    assert pairs[row].records == []
