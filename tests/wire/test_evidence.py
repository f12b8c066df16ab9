"""What the ledger of a shim that runs, was stopped or was killed proves to `report`."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from shim.ledger.reading import read_near_misses, read_uses
from tests.support.client import Client, ask, request
from tests.support.clock import http_date
from tests.support.origin import Connection, Origin, Received, answer, reply
from tests.support.running import Shim, restate_shim
from tests.support.waiting import wait_until

WINDOW = 4.0
# One in which a shim that is gone for more than half of it is still seen, on a slow machine too.
LONG = 10.0
USE = request("DELETE", "/invocations/inv_1?mode=kill")
# A shim that nothing comes through proves nothing.
ANY_CALL = request("GET", "/services")


def verdict(ledger: Path, window: str = f"{WINDOW:g}s") -> tuple[int, str]:
    words = ("report", "--ledger", str(ledger), "--format", "json", "--fail-if-used-within", window)
    done = restate_shim(*words)
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
    wait_until(lambda: verdict(ledger) == (0, "safe"), WINDOW + 5)
    assert [verdict(ledger) for _ in range(5)] == [(0, "safe")] * 5
    assert verdict(ledger, "1h") == (3, "in_use")


def test_a_shim_that_was_killed_proves_nothing_about_the_time_since(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), upstream=origin.url)
    assert ask(shim.proxy, ANY_CALL).status == 200
    wait_until(lambda: verdict(ledger) == (0, "safe"), WINDOW + 5)
    shim.process.kill()
    shim.process.wait()
    time.sleep(WINDOW / 2 + 0.1)
    assert verdict(ledger) == (4, "unproven")


def verdict_after(shim: Shim, signal: str, ledger: Path) -> int:
    """What is said of a window in whose middle this one of two shims has ended."""
    time.sleep(LONG / 2)
    getattr(shim.process, signal)()
    shim.process.wait()
    time.sleep(LONG / 2 + 0.5)
    return verdict(ledger, f"{LONG:g}s")[0]


@pytest.mark.parametrize(("signal", "expected"), [("terminate", 0), ("kill", 4)])
def test_one_that_was_stopped_in_order_is_not_missed_while_another_records(
    signal: str, expected: int, ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    # A pod that a rolling update had replaced left the verdict unproven for the whole window.
    old = start("--ledger", str(ledger), "--instance", "pod-old", upstream=origin.url)
    new = start("--ledger", str(ledger), "--instance", "pod-new", upstream=origin.url)
    for shim in (old, new):
        assert ask(shim.proxy, ANY_CALL).status == 200
    assert verdict_after(old, signal, ledger) == expected


# "Safe, 100 % observed" was said of a sidecar before the Service was switched to it.
def test_a_shim_that_only_probes_come_through_proves_nothing(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), upstream=origin.url)
    end = time.monotonic() + WINDOW + 1
    while time.monotonic() < end:
        assert ask(shim.proxy, request("GET", "/health")).status == 200
        time.sleep(0.2)
    assert verdict(ledger) == (4, "unproven")
    told = ask(shim.ops, request("GET", f"/verdict?within={WINDOW:g}s"))
    assert (told.status, told.json()["status"]) == (425, "unproven")
    assert "nothing came through in the last 4 s, probes aside" in told.json()["reason"]
    assert ask(shim.proxy, ANY_CALL).status == 200
    wait_until(lambda: verdict(ledger) == (0, "safe"))
    asked = request("GET", f"/verdict?within={WINDOW:g}s")
    wait_until(lambda: ask(shim.ops, asked).status == 200)


# Coverage knew nothing of members that nobody ever saw: one replica's ledger of three was "safe".
def test_one_ledger_of_three_is_no_proof_where_three_should_record(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), "--instances", "3", upstream=origin.url)
    assert ask(shim.proxy, ANY_CALL).status == 200
    time.sleep(WINDOW + 0.5)
    told = ask(shim.ops, request("GET", f"/verdict?within={WINDOW:g}s"))
    assert told.status == 425
    assert "3 shims should record" in told.json()["reason"]
    assert verdict(ledger) == (0, "safe")
    words = ("report", "--ledger", str(ledger), "--instances", "3", "--fail-if-used-within", "4s")
    assert restate_shim(*words).returncode == 4


def test_one_of_two_shims_of_one_name_is_missed_too(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    one = start("--ledger", str(ledger), upstream=origin.url)
    start("--ledger", str(ledger), upstream=origin.url)
    assert verdict_after(one, "kill", ledger) == 4


@pytest.mark.parametrize("mode", ["kill", "KILL"])
def test_a_use_is_on_record_before_an_answer_that_comes_in_pieces_begins(
    mode: str, ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # It was recorded when the answer had ended: killed in between, the shim lost it.
    def script(connection: Connection, received: Received) -> None:
        connection.read_body(received)
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nno")
        connection.gone.wait(5)

    own_origin.script = script
    shim = start("--ledger", str(ledger), "--phase", "observe", upstream=own_origin.url)
    with Client(shim.proxy) as client:
        client.send(request("DELETE", f"/invocations/inv_1?mode={mode}"))
        assert client.read_head().status == 400
        shim.process.kill()
        shim.process.wait()
    (use,) = read_uses(ledger)
    assert (use["decision"], use["status"]) == ("observed", 400)


# A shim whose clock was a day behind let the route look unused.
def test_a_shim_that_upstream_contradicts_about_the_time_proves_nothing_until_they_agree(
    ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    now = datetime.now(UTC)
    own_origin.script = reply(answer(200, b"", _date(now + timedelta(days=1))))
    for asked in (request(), request("HEAD")):
        assert ask(shim.proxy, asked).status == 200
    said = shim.event("clock_disagrees")
    assert 86_300 < said["offset_seconds"] < 86_500
    time.sleep(WINDOW + 1)
    assert verdict(ledger) == (4, "unproven")

    own_origin.script = lambda connection, _: connection.send(
        answer(200, b"", _date(datetime.now(UTC)))
    )
    assert ask(shim.proxy, request()).status == 200
    shim.event("clock_agrees")
    assert ask(shim.proxy, ANY_CALL).status == 200
    wait_until(lambda: verdict(ledger) == (0, "safe"), WINDOW + 5)


def _date(moment: datetime) -> bytes:
    return b"Date: " + http_date(moment)


def test_near_misses_are_on_record_though_upstream_is_away(
    ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    own_origin.refuse()
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    for method, target in (("DELETE", "/invocations/a/b"), ("POST", "/invocations/a/kill")):
        assert ask(shim.proxy, request(method, target)).status == 502
    assert [(miss["kind"], miss["status"]) for miss in read_near_misses(ledger)] == [
        ("extra_segment", 502),
        ("wrong_method", 502),
    ]


# A client that is not patient made as many of them as it liked, and none was on record.
def test_a_near_miss_is_on_record_though_its_caller_has_left(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    left = Event()

    def script(connection: Connection, received: Received) -> None:
        if received.target.startswith(b"/invocations/b/"):
            connection.wait_gone(5)
        else:
            assert left.wait(5)
            connection.send(answer(405))

    own_origin.script = script
    shim = start(upstream=own_origin.url)
    with Client(shim.proxy) as client:
        client.send(request("POST", "/invocations/a/kill"))
        own_origin.wait(1)
    left.set()
    assert shim.event("migration_near_miss")["status"] == 405
    with Client(shim.proxy) as client:
        client.send(request("POST", "/invocations/b/kill", b"Content-Length: 100000", body=b"x"))
        own_origin.wait(2)
    miss = shim.event("migration_near_miss", where=lambda event: "/b/" in event["target"])
    assert miss["status"] == 499


# Its record said that it had not been sent.
def test_an_old_call_whose_caller_leaves_within_its_body_has_been_sent(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    def script(connection: Connection, _: Received) -> None:
        connection.wait_gone(5)

    own_origin.script = script
    shim = start("--phase", "observe", upstream=own_origin.url)
    with Client(shim.proxy) as client:
        client.send(request("DELETE", "/invocations/a", b"Content-Length: 100000", body=b"x"))
        own_origin.wait(1)
    use = shim.use("a")
    assert (use["decision"], use["status"]) == ("failed", 499)
    assert use["error"] == "The caller left while its body was being sent"


def test_what_the_ledger_did_not_take_in_the_end_is_said(
    ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for number in range(3):
        own_origin.script = reply(answer(200))
        assert ask(shim.proxy, request("DELETE", f"/invocations/inv_{number}")).status == 202
    shim.process.terminate()
    said = shim.event("uses_not_in_ledger", within=15)
    assert (said["count"], "import" in said["hint"]) == (3, True)
    other.close()


@pytest.mark.parametrize("query", ["caller=%00", "since=0001-01-01T00:00:00%2B23:59", "mode=%00"])
def test_no_query_breaks_the_page(
    query: str, ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    assert ask(shim.ops, request("GET", f"/usage?{query}")).status == 200


def test_a_ledger_with_damaged_pages_is_no_traceback(
    ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # Damage shows as one reads, after the file was opened well.
    own_origin.script = reply(answer(200))
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    assert ask(shim.proxy, USE).status == 202
    shim.process.terminate()
    shim.process.wait()
    with closing(sqlite3.connect(ledger)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'totals'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with ledger.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    done = restate_shim("report", "--ledger", str(ledger))
    assert (done.returncode, done.stdout) == (2, "")
    assert "malformed" in done.stderr
    assert "Traceback" not in done.stderr
    again = start("--ledger", str(ledger), upstream=own_origin.url)
    page_of_it = ask(again.ops, request("GET", "/usage"))
    assert page_of_it.status == 200
    assert b"malformed" in page_of_it.body
    assert ask(again.ops, request("GET", "/usage.json")).status == 503


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


@pytest.mark.parametrize(
    "target",
    [
        "/invocations/inv_%s?mode=kill",
        "/v%s/invocations/inv_1",
        "/invocations/inv_1?mode=%s",
        "/invocations/inv_1/%s",
    ],
)
def test_a_long_target_is_sent_on_whole_and_recorded_in_short(
    target: str, ledger: Path, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # 60 kB of an id made 197 kB of ledger and 181 kB of log.
    own_origin.script = reply(answer(200))
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    long = "7" * 60_000
    asked = target % long
    agent = b"User-Agent: " + b"a" * 4000
    ask(shim.proxy, request("DELETE", asked, agent))
    assert own_origin.requests[0].target.startswith(asked.partition("?")[0].encode())
    line = shim.event("migration_near_miss" if "/inv_1/" in asked else "deprecated_route_used")
    assert len(json.dumps(line)) < 8000
    records = [*read_uses(ledger), *read_near_misses(ledger)]
    assert line["target"] in [record["target"] for record in records]


def test_a_running_shim_is_asked_for_the_report(
    ledger: Path, origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start("--ledger", str(ledger), "--ops-token", "open-sesame", upstream=origin.url)
    assert ask(shim.proxy, USE).status == 202
    wait_until(lambda: verdict(ledger, "1h") == (3, "in_use"))
    words = ("report", shim.ops, "--format", "json", "--fail-if-used-within", "1h")

    def asked() -> tuple[int, int]:
        done = restate_shim(*words, SHIM_OPS_TOKEN="open-sesame")
        return done.returncode, json.loads(done.stdout)["totals"]["uses"]

    # What it knows is up to a second old.
    wait_until(lambda: asked() == (3, 1))
    refused = restate_shim(*words)
    assert refused.returncode == 2
    assert "answered 401: A bearer token is needed" in refused.stderr
    for other in (shim.proxy, "ftp://x/", "http://127.0.0.1:1/"):
        done = restate_shim("report", other)
        assert (done.returncode, done.stdout) == (2, "")
        assert other in done.stderr
    done = restate_shim("report", shim.ops, "--uses", SHIM_OPS_TOKEN="open-sesame")
    assert "takes one shim's URL by itself" in done.stderr
