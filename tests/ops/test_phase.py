"""`/phase`: what is in force, for everyone and for one caller."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.ledger_records import NOON, a_use, append
from tests.support.ops import Ops, Start
from tests.support.waiting import until

ENTRY = '[[caller]]\nmatch = "ci-*"\nphase = "reject"\nowner = "platform"\nuntil = 2026-11-20\n'


async def phase(ops: Ops, caller: str | None = None) -> dict[str, Any]:
    got = await ops.client.get("/phase", params={} if caller is None else {"caller": caller})
    assert got.status == 200
    told: dict[str, Any] = await got.json()
    return told


async def test_it_tells_what_is_in_force_for_everyone(start: Start) -> None:
    ops = await start('phase = "observe"\nreplies = "native"\nsunset = "2027-01-31"\n' + ENTRY)
    told = await phase(ops)
    assert (told["phase"], told["replies"], told["dry_run"]) == ("observe", "native", False)
    assert told["rules"] == 1
    assert told["headers"] is True
    assert told["sunset"] == "2027-01-31T00:00:00.000Z"
    assert told["brownout"]["open"] is None
    assert told["config"] == {"file": str(ops.config), "ok": True, "error": None, "line": None}
    assert "caller" not in told


async def test_it_tells_a_caller_which_entry_counts_and_what_it_means(start: Start) -> None:
    ops = await start(ENTRY)
    told = (await phase(ops, "ci-7"))["caller"]
    assert (told["name"], told["phase"], told["refused"]) == ("ci-7", "reject", True)
    assert told["rule"] == {
        "entry": 1,
        "match": "ci-*",
        "phase": "reject",
        "until": "2026-11-20",
        "owner": "platform",
        "note": None,
    }
    other = (await phase(ops, "ops"))["caller"]
    assert (other["phase"], other["refused"], other["rule"]) == ("translate", False, None)


async def test_an_entry_ends_with_its_day(start: Start) -> None:
    ops = await start(ENTRY)
    ops.clock.moment = NOON.replace(day=21)
    assert (await phase(ops, "ci-7"))["caller"]["rule"] is None


async def test_a_freeze_refuses_whom_the_ledger_does_not_know(start: Start) -> None:
    ops = await start('phase = "freeze"\n')
    await append(ops.ledger, a_use("old-hand"))
    await until(lambda: not ops.ledger.is_known("newcomer"))
    for caller, known in (("old-hand", True), ("newcomer", False)):
        told = (await phase(ops, caller))["caller"]
        assert (told["known"], told["refused"]) == (known, not known)


async def test_an_open_window_says_when_it_ends(start: Start) -> None:
    ops = await start('phase = "brownout"\nbrownout = ["2026-11-20T11:50Z/PT30M"]\n')
    told = await phase(ops, "ci-7")
    window = {"start": "2026-11-20T11:50:00.000Z", "end": "2026-11-20T12:20:00.000Z"}
    assert told["brownout"]["open"] == window
    assert (told["caller"]["refused"], told["caller"]["retry_after"]) == (True, 1200)


async def test_in_force_is_what_was_read_last_and_good(ops: Ops) -> None:
    await ops.rewrite('phase = "reject"\n')
    assert (await phase(ops, "ci-7"))["caller"]["refused"]
    await ops.rewrite('phase = "observe"\nreplies = "loud"\n')
    told = await phase(ops)
    assert (told["phase"], told["replies"]) == ("reject", "legacy")
    assert (told["config"]["ok"], told["config"]["line"]) == (False, 2)
    assert "loud" in told["config"]["error"]


@pytest.mark.parametrize("caller", ["", "a b&c=d", "é\u2028", "x" * 5000, "\x00", "%ff"])
async def test_any_name_may_be_asked_about(caller: str, ops: Ops) -> None:
    assert (await phase(ops, caller))["caller"]["name"] == caller
