"""`/usage`, `/usage.json` and `/usage.csv`: the report, at most a second old."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

import pytest

from shim.ledger.adding import import_records
from shim.ledger.records import Decision, encode
from shim.report.formats.page import CONTENT_SECURITY_POLICY
from tests.support.ledger_records import NOON, a_near_miss, a_use, append
from tests.support.ops import Ops, Start
from tests.support.samples import HOSTILE

USES = [
    a_use("ci-7", NOON - timedelta(hours=3), invocation_id="inv_one"),
    a_use("ci-7", NOON - timedelta(days=2), invocation_id="inv_two", mode="purge"),
    a_use("ops", NOON - timedelta(days=9), invocation_id="inv_three", decision=Decision.REFUSED),
]
ENTRY = '[[caller]]\nmatch = "ci-*"\nowner = "platform"\n'


@pytest.fixture
async def used(start: Start, tmp_path: Path) -> Ops:
    """One in whose ledger are uses of two callers and a near miss of a third."""
    path = tmp_path / "ledger.db"
    import_records(path, USES)
    ops = await start(ENTRY)
    await append(ops.ledger, a_near_miss("third"))
    return ops


async def page(ops: Ops, query: str = "") -> str:
    got = await ops.client.get(f"/usage{query}")
    assert got.status == 200
    assert got.content_type == "text/html"
    return await got.text()


def shown(text: str) -> set[str]:
    """Which of the uses are in the list of recent ones."""
    return {use.invocation_id for use in USES if f"{use.invocation_id}<" in text}


async def test_the_page_lets_a_browser_load_and_tell_nothing(used: Ops) -> None:
    got = await used.client.get("/usage")
    assert got.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.charset == "utf-8"


async def test_the_page_shows_callers_owners_and_the_latest_uses(used: Ops) -> None:
    text = await page(used)
    for said in ("ci-7", "ops", "third", "platform", "shim-a", "Still in use"):
        assert said in text
    assert shown(text) == {"inv_one", "inv_two", "inv_three"}
    assert "not in force" not in text
    assert "not recording" not in text


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("?caller=ci-7", {"inv_one", "inv_two"}),
        ("?caller=CI-7", set()),
        ("?mode=purge", {"inv_two"}),
        ("?decision=refused", {"inv_three"}),
        ("?since=24h", {"inv_one"}),
        ("?caller=ci-7&since=2026-11-01", {"inv_one", "inv_two"}),
        ("?since=nonsense&other=x", {"inv_one", "inv_two", "inv_three"}),
    ],
)
async def test_the_query_chooses_among_the_recent_uses(
    query: str, ids: set[str], used: Ops
) -> None:
    assert shown(await page(used, query)) == ids


@pytest.mark.parametrize("name", ["markup", "quotes", "nul"])
async def test_a_query_stays_text(name: str, used: Ops) -> None:
    got = await used.client.get("/usage", params={"caller": HOSTILE[name], "since": HOSTILE[name]})
    text = await got.text()
    assert got.status == 200
    assert HOSTILE[name] not in text


async def test_json_and_csv_carry_the_numbers_of_the_page(used: Ops) -> None:
    got = await used.client.get("/usage.json")
    assert got.content_type == "application/json"
    told = await got.json()
    assert told["generated_at"] == "2026-11-20T12:00:00.000Z"
    assert (told["totals"]["uses"], told["totals"]["near_misses"]) == (3, 1)
    assert told["verdict"]["status"] == "in_use"
    by_name = {caller["caller"]: caller for caller in told["callers"]}
    assert (by_name["ci-7"]["uses"], by_name["ci-7"]["owner"]) == (2, "platform")
    assert by_name["ci-7"]["modes"] == {"kill": 1, "purge": 1}
    got = await used.client.get("/usage.csv")
    assert got.content_type == "text/csv"
    rows = {row["caller"]: row for row in csv.DictReader(io.StringIO(await got.text()))}
    assert {name: int(row["uses"]) for name, row in rows.items()} == {
        name: caller["uses"] for name, caller in by_name.items()
    }


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 409, "in_use"),
        ("?within=14d", 409, "in_use"),
        ("?within=4h", 409, "in_use"),
        # The record began a moment ago.
        ("?within=1h", 425, "unproven"),
    ],
)
async def test_the_verdict_is_a_status_for_those_who_wait_for_it(
    query: str, status: int, said: str, used: Ops
) -> None:
    got = await used.client.get(f"/verdict{query}")
    assert got.status == status
    told = await got.json()
    assert told["status"] == said
    assert told["reason"]


async def test_a_lost_record_is_in_the_way_of_verdicts_on_its_time_alone(ops: Ops) -> None:
    await ops.ledger.close()
    await ops.ledger.append(use := a_use("ci-7", NOON), encode(use))
    assert ops.ledger.state().dropped == 1
    missing = "did not take what a shim recorded"
    told = await (await ops.client.get("/verdict?within=1h")).json()
    assert (told["status"], missing in told["reason"]) == ("unproven", True)
    # It was so until the next restart, and no longer.
    ops.clock.moment += timedelta(hours=2)
    told = await (await ops.client.get("/verdict?within=2h")).json()
    assert missing in told["reason"]
    told = await (await ops.client.get("/verdict?within=90m")).json()
    assert missing not in told["reason"]


@pytest.mark.parametrize("style", ["table", "json", "csv", "markdown", "html"])
async def test_the_report_is_made_here_for_those_who_have_no_ledger(style: str, used: Ops) -> None:
    got = await used.client.get("/report", params={"format": style, "within": "14d"})
    assert got.status == 200
    assert got.headers["X-Restate-Shim-Verdict"] == "in_use"
    assert "ci-7" in await got.text()


async def test_a_part_of_it_is_asked_for(used: Ops) -> None:
    query = {"format": "json", "since": "1d", "owner": "plat*"}
    told = await (await used.client.get("/report", params=query)).json()
    assert [caller["caller"] for caller in told["callers"]] == ["ci-7"]
    # One of ci-7's, and the near miss is of somebody else.
    assert (told["callers"][0]["uses"], told["totals"]["uses"]) == (1, 1)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("format=pdf", "format takes one of table, json, csv, markdown, html"),
        ("since=soon", "since takes a duration back such as 30d, or a date"),
        ("since=2099-01-01", "since takes a moment in the past"),
        ("within=never", "within takes a duration above zero such as 14d"),
        # A typo was passed over, and the answer was that of 14 days.
        ("with=1d", "there is no with here, but format, since, owner, within"),
    ],
)
async def test_what_cannot_be_asked_for_is_said(query: str, said: str, used: Ops) -> None:
    got = await used.client.get(f"/report?{query}")
    assert got.status == 400
    assert said in (await got.json())["message"]


@pytest.mark.parametrize("within", ["soon", "0s", "-1d", "99999999d", ""])
async def test_a_verdict_takes_a_duration(within: str, used: Ops) -> None:
    got = await used.client.get("/verdict", params={"within": within})
    assert got.status == 400
    assert "within takes a duration above zero such as 14d" in (await got.json())["message"]


async def test_a_ledger_that_cannot_be_read_is_an_alarm_on_the_page_and_an_error_elsewhere(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"no database at all" * 1000)
    ops = await start(ledger=path)
    text = await page(ops)
    assert "The ledger is not recording: the ledger " in text
    assert "Not proven" in text
    assert "Safe to remove" not in text
    for name in ("json", "csv"):
        got = await ops.client.get(f"/usage.{name}")
        assert got.status == 503
        told = await got.json()
        assert "not a database" in told["message"]
        assert told["restate_code"] is None


async def test_a_file_of_settings_that_is_not_in_force_shows(used: Ops) -> None:
    await used.rewrite('\nphase = "<loud>"\n')
    text = await page(used)
    assert "as it is now is not in force: line 2: " in text
    assert "<loud>" not in text
    # The owners are those of the settings in force.
    assert "platform" in text
