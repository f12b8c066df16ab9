"""Thousands of calls of all kinds: every number in every format is the one that was sent."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.client import Client, ask, request
from tests.support.origin import Connection, Origin, Received, answer
from tests.support.running import Shim, restate_shim
from tests.support.waiting import wait_until

CALLERS = [f"caller-{n}" for n in range(12)]
MODES = ("cancel", "kill", "purge")
MANY = 3000
NOT_FOUND = b'{"message":"no such invocation","restate_code":null}'


@dataclass
class Sent:
    """What one caller has sent."""

    uses: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    replacement_calls: int = 0
    near_misses: int = 0


def as_restate(connection: Connection, received: Received) -> None:
    """Answer by what is asked for: an id that ends in a status gets that."""
    connection.read_body(received)
    asked = re.search(rb"inv_[0-9]+_([0-9]{3})", received.target)
    status = int(asked[1]) if asked else 200
    if received.method == b"DELETE" and b"mode=bogus" in received.target:
        status = 400
    body, kind = (NOT_FOUND, b"application/json") if status >= 400 else (b"", b"text/plain")
    connection.send(answer(status, body, b"Content-Type: " + kind))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Send everything once; what each format says of it is read by the tests."""
    folder = tmp_path_factory.mktemp("numbers")
    ledger = folder / "ledger.db"
    chance = random.Random(11)
    sent: defaultdict[str, Sent] = defaultdict(Sent)
    requests = 0
    origin = Origin()
    origin.script = as_restate
    with Shim("--ledger", str(ledger), "--instance", "one", upstream=origin.url) as shim:
        with Client(shim.proxy) as client:
            for number in range(MANY):
                caller = chance.choice(CALLERS)
                extra = b"X-Client-Id: " + caller.encode()
                by = sent[caller]
                status = chance.choice((200, 200, 202, 404, 409, 500))
                target = f"/invocations/inv_{number}_{status}"
                mode = chance.choice(MODES)
                kind = chance.choice(
                    ("old", "old", "bare", "bogus", "new", "near", "other", "probe")
                )
                method = "DELETE"
                if kind in ("old", "bare"):
                    mode = mode if kind == "old" else "cancel"
                    target += f"?mode={mode}" if kind == "old" else ""
                    by.uses += 1
                    by.modes[mode] += 1
                    by.decisions["translated"] += 1
                    if status in (404, 409):
                        by.masked[str(status)] += 1
                elif kind == "bogus":
                    target += "?mode=bogus"
                    by.uses += 1
                    by.modes["invalid"] += 1
                    by.decisions["invalid"] += 1
                    by.near_misses += 1
                elif kind == "new":
                    method, target = "PATCH", f"{target}/{mode}"
                    by.replacement_calls += status != 500
                elif kind == "near":
                    method, target = "POST", f"{target}/{mode}"
                    by.near_misses += 1
                else:
                    method, target = "GET", "/services" if kind == "other" else "/health"
                requests += kind != "probe"
                client.send(request(method, target, extra))
                client.read(method)
        wait_until(lambda: json.loads(ask(shim.ops, request("GET", "/usage.json")).body)["totals"][
            "uses"
        ] == sum(one.uses for one in sent.values()))  # fmt: skip
        wait_until(
            lambda: (
                json.loads(ask(shim.ops, request("GET", "/usage.json")).body)["instances"][0][
                    "requests"
                ]
                == requests
            )
        )
        live = {
            name: ask(shim.ops, request("GET", f"/usage{name}")).body.decode()
            for name in ("", ".json", ".csv")
        }
        metrics = ask(shim.ops, request("GET", "/metrics")).body.decode()
    origin.close()
    log = folder / "shim.log"
    log.write_bytes(b"\n".join(shim.lines) + b"\n")
    return {
        "sent": sent,
        "requests": requests,
        "ledger": ledger,
        "log": log,
        "live": live,
        "metrics": metrics,
    }


def report(*words: str) -> str:
    done = restate_shim("report", *words, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(found: dict[str, Any], story: dict[str, Any]) -> None:
    sent: dict[str, Sent] = story["sent"]
    by_name = {caller["caller"]: caller for caller in found["callers"]}
    assert set(by_name) == set(sent)
    for name, by in sent.items():
        caller = by_name[name]
        assert caller["uses"] == by.uses == sum(by.modes.values())
        assert caller["modes"] == by.modes
        assert caller["decisions"] == by.decisions
        assert caller["masked"] == {"404": by.masked["404"], "409": by.masked["409"]}
        assert caller["replacement_calls"] == by.replacement_calls
        assert caller["near_misses"] == by.near_misses
        assert caller["addresses"] == {"127.0.0.1": by.uses}
        assert caller["replacement"] == f"PATCH /invocations/INVOCATION_ID/{mainly(by)}"
    assert found["totals"] == {
        "uses": sum(by.uses for by in sent.values()),
        "masked": sum(by.masked.total() for by in sent.values()),
        "refused": 0,
        "failed": 0,
        "near_misses": sum(by.near_misses for by in sent.values()),
        "replacement_calls": sum(by.replacement_calls for by in sent.values()),
    }
    (member,) = found["instances"]
    assert (member["instance"], member["requests"]) == ("one", story["requests"])


def mainly(by: Sent) -> str:
    most = max(by.modes[mode] for mode in MODES)
    return next(mode for mode in ("cancel", "purge", "kill") if by.modes[mode] == most)


@pytest.mark.parametrize("source", ["live", "ledger", "log", "ledger since", "log since"])
def test_json_says_what_was_sent(story: dict[str, Any], source: str) -> None:
    if source == "live":
        check(json.loads(story["live"][".json"]), story)
        return
    since = ("--since", "1d") if source.endswith("since") else ()
    check(
        json.loads(report(str(story[source.split(maxsplit=1)[0]]), "--format", "json", *since)),
        story,
    )


@pytest.mark.parametrize("source", ["live", "ledger", "log"])
def test_csv_says_what_json_says(story: dict[str, Any], source: str) -> None:
    if source == "live":
        text, found = story["live"][".csv"], json.loads(story["live"][".json"])
    else:
        text = report(str(story[source]), "--format", "csv")
        found = json.loads(report(str(story[source]), "--format", "json"))
    rows = {row["caller"]: row for row in csv.DictReader(io.StringIO(text))}
    assert len(rows) == len(found["callers"])
    for caller in found["callers"]:
        row = rows[caller["caller"]]
        for name in ("uses", "replacement_calls", "near_misses", "days_quiet"):
            assert int(row[name]) == caller[name]
        for group, key in (("modes", "mode"), ("decisions", "decision"), ("masked", "masked")):
            for name, count in caller[group].items():
                assert int(row[f"{key}_{name}"]) == count
        for name in ("state", "first_seen", "last_seen", "replacement"):
            assert row[name] == caller[name]


@pytest.mark.parametrize("style", ["markdown", "table", "html", "page"])
def test_what_people_read_says_what_json_says(story: dict[str, Any], style: str) -> None:
    if style == "page":
        text, found = story["live"][""], json.loads(story["live"][".json"])
    else:
        text = report(str(story["ledger"]), "--format", style)
        found = json.loads(report(str(story["ledger"]), "--format", "json"))
    totals = found["totals"]
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    if style in ("html", "page"):
        for noun, name in (("uses", "uses"), ("new calls", "replacement_calls"),
                           ("masked", "masked"), ("near misses", "near_misses")):  # fmt: skip
            assert f"{totals[name]:,} {noun}" in plain
    else:
        assert f"{totals['uses']:,} uses" in plain
        assert f"{totals['near_misses']:,} near misses" in plain
        assert f"{totals['replacement_calls']:,} calls to the new endpoints" in plain
    for caller in found["callers"]:
        name, uses, new = caller["caller"], caller["uses"], caller["replacement_calls"]
        if style == "markdown":
            (row,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert (cells[3], cells[8]) == (f"{uses:,}", f"{new:,}")
        elif style == "table":
            (row,) = re.findall(rf"^ *{name} +\S.*$", text, re.MULTILINE)
            assert re.search(rf"\b{uses:,}\b.*\b{new:,}\b", row)
        else:
            (article,) = re.findall(
                rf'<article id="[^"]*">(?:(?!</article>).)*title="{name}".*?</article>',
                text,
                re.DOTALL,
            )
            said = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", article))
            assert f"{uses:,} uses" in said
            assert f"{new:,} new" in said


def test_every_use_is_there_once(story: dict[str, Any]) -> None:
    for source in ("ledger", "log"):
        uses = [json.loads(line) for line in report(str(story[source]), "--uses").splitlines()]
        assert len({use["id"] for use in uses}) == len(uses)
        assert Counter(use["caller"] for use in uses) == {
            name: by.uses for name, by in story["sent"].items()
        }


def test_the_metrics_say_it_too(story: dict[str, Any]) -> None:
    counted = re.findall(
        r'^restate_shim_deprecated_requests_total\{decision="(\w+)".*\} ([0-9.]+)$',
        story["metrics"],
        re.MULTILINE,
    )
    totals: Counter[str] = Counter()
    for decision, count in counted:
        totals[decision] += int(float(count))
    expected: Counter[str] = Counter()
    for by in story["sent"].values():
        expected += by.decisions
    assert +totals == expected
