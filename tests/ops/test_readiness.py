"""`/live` and `/ready`: that it runs, and whether it should get traffic."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.ledger_records import a_use, append
from tests.support.ops import Ops, Start
from tests.support.waiting import until


async def test_one_that_runs_is_live_and_ready(ops: Ops) -> None:
    assert await (await ops.client.get("/live")).json() == {"live": True}
    got = await ops.client.get("/ready")
    assert got.status == 200
    assert await got.json() == {
        "ready": True,
        "upstream": {"ok": True},
        "ledger": {"ok": True, "queued": 0, "dropped": 0},
        "draining": {"ok": True},
        "config": {"ok": True, "error": None, "line": None},
    }


async def test_without_its_upstream_it_is_not_ready_but_live(ops: Ops) -> None:
    await ops.upstream.leave()
    ops.proxy.close()
    await ops.proxy.try_upstream()
    got = await ops.client.get("/ready")
    assert got.status == 503
    told = await got.json()
    assert (told["ready"], told["upstream"]["ok"]) == (False, False)
    assert "cannot be reached: Conn" in told["upstream"]["error"]
    assert told["ledger"]["ok"]
    assert told["draining"]["ok"]
    assert (await ops.client.get("/live")).status == 200
    await ops.upstream.listen()
    watching = asyncio.create_task(ops.proxy.watch_upstream())
    await until(lambda: ops.proxy.upstream_state["ok"])
    watching.cancel()
    assert (await ops.client.get("/ready")).status == 200


async def test_a_fleet_that_was_asked_for_and_is_not_there_is_shown(start: Start) -> None:
    ops = await start(fleet="postgresql://nobody@127.0.0.1:1/none")
    await until(lambda: ops.ledger.state().fleet_error is not None)
    got = await ops.client.get("/ready")
    told = await got.json()
    assert (got.status, told["fleet"]["ok"]) == (200, False)
    assert "the fleet cannot be reached or written: " in told["fleet"]["error"]


async def test_one_that_drains_is_not_ready(ops: Ops) -> None:
    await ops.proxy.drain()
    got = await ops.client.get("/ready")
    told = await got.json()
    assert (got.status, told["ready"], told["draining"]) == (503, False, {"ok": False})


async def test_one_whose_ledger_does_not_record_says_why_and_what_waits(
    start: Start, tmp_path: Path
) -> None:
    ops = await start(ledger=tmp_path / "none" / "none" / "x.db")
    for _ in range(3):
        assert not await append(ops.ledger, a_use())
    got = await ops.client.get("/ready")
    told = await got.json()
    assert (got.status, told["ready"]) == (503, False)
    assert (told["ledger"]["ok"], told["ledger"]["queued"]) == (False, 3)
    assert "is missing, and so is" in told["ledger"]["error"]
    (tmp_path / "none").mkdir()
    await until(lambda: ops.ledger.state().ok and not ops.ledger.state().queued)
    assert (await ops.client.get("/ready")).status == 200


@pytest.mark.parametrize("text", ["no toml", 'phase = "loud"\n'])
async def test_a_bad_file_of_settings_is_told_and_keeps_nobody_from_serving(
    text: str, ops: Ops
) -> None:
    await ops.rewrite(text)
    got = await ops.client.get("/ready")
    told = await got.json()
    assert (got.status, told["ready"]) == (200, True)
    assert (told["config"]["ok"], told["config"]["line"]) == (False, 1)
    assert told["config"]["error"]
