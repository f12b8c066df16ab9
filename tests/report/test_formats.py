"""What strangers call themselves stays text in every format; the JSON is the specification's."""

from __future__ import annotations

import csv
import html as html_entities
import io
import json
import re
import unicodedata
from datetime import date, timedelta

import pytest
from markdown_it import MarkdownIt

from shim.ledger.evidence import REACHED, CallerFacts, Client, Evidence, Kind, Traffic
from shim.report.formats.markdown import usage_markdown
from shim.report.formats.spreadsheet import usage_csv
from shim.report.formats.terminal import print_table
from shim.route.policy import CallerEntry
from tests.support.samples import (
    DAY,
    HOSTILE,
    HOUR,
    NOW,
    days_of,
    hostile_evidence,
    lively_evidence,
    report_of,
    up,
    use_sum,
)

MINUTE = timedelta(minutes=1)
HOSTILE_REPORT = report_of(
    hostile_evidence(),
    entries=[CallerEntry(match="*", owner=HOSTILE["formula"], note=HOSTILE["markdown"])],
)


def table_of(report: object, width: int | None = None) -> str:
    out = io.StringIO()
    print_table(report, out, width)  # type: ignore[arg-type]  # always a Report
    return out.getvalue()


def test_the_json_has_the_shape_of_the_specification() -> None:
    sums = [
        use_sum("ci-7", NOW - DAY, count=3),
        use_sum("ci-7", NOW - 2 * DAY, mode="kill", masked=True, upstream_status=404),
        use_sum("ci-7", NOW - HOUR, mode=None, decision="invalid", upstream_status=400),
        use_sum("ci-7", NOW, kind=Kind.REPLACEMENT_CALL, mode="kill", decision=REACHED, count=5),
        use_sum("ci-7", NOW, kind=Kind.NEAR_MISS, mode="bad_mode", decision=None),
        use_sum("ops", NOW - 9 * DAY, decision="refused", upstream_status=None, count=2),
    ]
    evidence = Evidence(
        sums=sums,
        days=days_of("ci-7", NOW - 2 * DAY, NOW),
        callers={
            "ci-7": CallerFacts(
                user_agent="restate-cli/1.4.0 linux-x86_64",
                replacement="PATCH /v2/invocations/inv_1/kill",
                clients=(
                    Client(address="10.0.0.7", user_agent="a", count=3, last=NOW),
                    Client(address="10.0.0.8", user_agent="a", count=1, last=NOW),
                    Client(address="10.0.0.7", user_agent="b", count=1, last=NOW),
                ),
            )
        },
        spans=[up(NOW - 60 * DAY)],
        traffic=[Traffic(instance="shim-a", hour=NOW - 30 * MINUTE, requests=7)],
    )
    entries = [
        CallerEntry(
            match="ci*",
            owner="platform",
            contact="#platform",
            acknowledged_until=date(2026, 12, 31),
        )
    ]
    report = report_of(evidence, since=NOW - 30 * DAY, entries=entries)
    found = json.loads(json.dumps(report.as_json()))
    reason = found["verdict"].pop("reason")
    assert reason.startswith("1 caller used the route in the last 14 days: ops.")
    assert found == {
        "generated_at": "2026-11-23T14:30:00.000Z",
        "since": "2026-10-24T14:30:00.000Z",
        "totals": {
            "uses": 7,
            "masked": 1,
            "refused": 2,
            "failed": 0,
            "near_misses": 1,
            "replacement_calls": 5,
        },
        "instances": [
            {
                "instance": "shim-a",
                "first_seen": "2026-09-24T14:30:00.000Z",
                "last_seen": "2026-11-23T14:30:00.000Z",
                "state": "up",
                "observed_percent": 100.0,
                "requests": 7,
            }
        ],
        "callers": [
            {
                "caller": "ci-7",
                "caller_source": "header:x-client-id",
                "state": "active",
                "uses": 5,
                "first_seen": "2026-11-21T14:30:00.000Z",
                "last_seen": "2026-11-23T13:30:00.000Z",
                "days_quiet": 0,
                "modes": {"cancel": 3, "invalid": 1, "kill": 1},
                "decisions": {"invalid": 1, "translated": 4},
                "masked": {"404": 1, "409": 0},
                "replacement_calls": 5,
                "unreached_calls": 0,
                "near_misses": 1,
                "near_miss_last": "2026-11-23T14:30:00.000Z",
                "came_back": False,
                "due": "2026-11-25T12:30:00.000Z",
                "hint": "restate-cli 1.4.0: upgrade to 1.5 or later, it makes the new calls",
                "replacement": "PATCH /v2/invocations/INVOCATION_ID/cancel",
                "addresses": {"10.0.0.7": 4, "10.0.0.8": 1},
                "address_names": {},
                "places": [],
                "owner": "platform",
                "contact": "#platform",
                "acknowledged_until": "2026-12-31",
            },
            {
                "caller": "ops",
                "caller_source": "header:x-client-id",
                "state": "quiet",
                "uses": 2,
                "first_seen": "2026-11-14T14:30:00.000Z",
                "last_seen": "2026-11-14T14:30:00.000Z",
                "days_quiet": 9,
                "modes": {"cancel": 2},
                "decisions": {"refused": 2},
                "masked": {"404": 0, "409": 0},
                "replacement_calls": 0,
                "unreached_calls": 0,
                "near_misses": 0,
                "near_miss_last": None,
                "came_back": False,
                "due": None,
                "hint": None,
                "replacement": None,
                "addresses": {},
                "address_names": {},
                "places": [],
                "owner": None,
                "contact": None,
                "acknowledged_until": None,
            },
        ],
        "verdict": {
            "status": "in_use",
            "quiet_seconds": 3600,
            "observed_percent": 100.0,
            "longest_gap_seconds": 0,
            "last_use": "2026-11-23T13:30:00.000Z",
            "earliest": "2026-12-07T13:30:00.000Z",
        },
        "warnings": [],
        "unreadable": {},
        "unseen_places": [],
    }


def test_no_cell_of_the_csv_is_a_formula() -> None:
    text = usage_csv(HOSTILE_REPORT)
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == len(HOSTILE) + 1
    assert len({len(row) for row in rows}) == 1
    for row in rows[1:]:
        for cell in row:
            assert not re.match(r"\s*[=+@|%＝＋－＠-]", cell), cell
            assert "\x1b" not in cell
            assert len(cell) < 32_768
    assert rows[0][:4] == ["caller", "caller_source", "state", "uses"]


def test_the_csv_carries_the_numbers() -> None:
    report = report_of(lively_evidence())
    rows = {row["caller"]: row for row in csv.DictReader(io.StringIO(usage_csv(report)))}
    for caller in report.callers:
        row = rows[caller.caller]
        assert int(row["uses"]) == caller.uses
        assert int(row["mode_kill"]) == caller.modes.get("kill", 0)
        assert int(row["masked_404"]) == caller.masked["404"]
        assert row["state"] == caller.state


def test_markdown_shows_hostile_names_as_text() -> None:
    text = usage_markdown(HOSTILE_REPORT)
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    html = renderer.render(text)
    tags = set(re.findall(r"<\s*([a-zA-Z]+)", html))
    allowed = {"h", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "br"}
    assert tags <= allowed | {"h2", "h3", "code"}, tags
    # A row for each caller, one for the shim, and two heads.
    assert html.count("<tr>") == len(HOSTILE) + 1 + 2
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {11, 7}
    assert "@everyone" not in text
    assert "#1" not in text.replace("&#1", "")
    assert "http://" not in text
    assert "[click](javascript:alert(1)) `code` **b** @everyone #1" in _text(html)


def _text(html: str) -> str:
    return html_entities.unescape(re.sub(r"<[^>]+>", "", html))


@pytest.mark.parametrize("width", [None, 200, 120, 80, 40, 20])
def test_the_terminal_gets_no_escape_sequence_from_data(width: int | None) -> None:
    text = table_of(HOSTILE_REPORT, width)
    assert {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs")} <= {"\n"}
    assert "[red]x[/red]" in text.replace("\n", "") or (width or 999) < 40


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40])
def test_the_table_fits_the_terminal_but_for_what_is_there_to_be_copied(width: int) -> None:
    report = report_of(lively_evidence())
    for line in table_of(report, width).splitlines():
        if line.startswith("  curl"):
            continue
        assert len(line) <= width, line
    assert "spiffe://prod/ns" in table_of(report, width)
