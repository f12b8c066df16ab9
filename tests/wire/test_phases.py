"""The phases on the wire: refusals to the byte, dry runs, and changing them while serving."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shim.ledger.reading import read_uses
from tests.support.client import Client, ask, request
from tests.support.origin import Origin, answer, reply
from tests.support.paths import ROOT
from tests.support.running import Shim, environment
from tests.support.waiting import wait_until

Start = Callable[..., Shim]


def delete(number: int | str = 1, caller: bytes = b"ci-1", mode: str = "kill") -> bytes:
    return request("DELETE", f"/invocations/inv_{number}?mode={mode}", b"X-Client-Id: " + caller)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


def window(begins: timedelta, lasts: timedelta) -> str:
    start = (datetime.now(UTC) + begins).replace(microsecond=0)
    return f"{start.isoformat()}/PT{int(lasts.total_seconds())}S"


# Signals itself where the settings are about to be read.
SIGHUP_EARLY = """
import os, signal, shim.cli
load = shim.cli.load
def late(*given, **more):
    os.kill(os.getpid(), signal.SIGHUP)
    return load(*given, **more)
shim.cli.load = late
shim.cli.main()
"""


def open_window() -> str:
    return window(timedelta(minutes=-1), timedelta(minutes=10))


def test_a_refusal_is_to_the_byte_what_was_promised(start: Start, own_origin: Origin) -> None:
    shim = start("--phase", "reject", "--no-headers", upstream=own_origin.url)
    with Client(shim.proxy) as client:
        got = client.ask(request("DELETE", "/v2/invocations/inv_x?mode=kill"))
        assert (got.status, got.reason) == (405, b"Method Not Allowed")
        assert got.body == (
            b'{"message":"DELETE /invocations/{invocation_id} is deprecated, '
            b'use PATCH /v2/invocations/inv_x/kill instead","restate_code":null}'
        )
        assert [(name.lower(), value) for name, value in got.fields] == [
            (b"content-length", b"%d" % len(got.body)),
            (b"allow", b""),
            (b"content-type", b"application/json"),
        ]
        # The connection goes on, and what is not the old call is nobody's concern.
        assert client.ask(request("PATCH", "/invocations/inv_x/kill")).status == 200
    assert [one.line for one in own_origin.requests] == [b"PATCH /invocations/inv_x/kill HTTP/1.1"]
    use = shim.use("inv_x")
    assert (use["decision"], use["phase"], use["status"]) == ("refused", "reject", 405)
    assert (use["upstream_status"], use["masked"]) == (None, False)
    assert "would_refuse" not in use


def test_a_brownout_says_when_to_come_back(start: Start, own_origin: Origin) -> None:
    shim = start("--phase", "brownout", "--brownout", open_window(), upstream=own_origin.url)
    got = ask(shim.proxy, delete())
    assert (got.status, got.values(b"allow")) == (405, [b""])
    (seconds,) = got.values(b"retry-after")
    assert 500 < int(seconds) <= 540
    assert got.json()["message"].endswith("use PATCH /invocations/inv_1/kill instead")
    assert own_origin.requests == []


def test_outside_its_windows_a_brownout_translates(start: Start, own_origin: Origin) -> None:
    later = window(timedelta(hours=1), timedelta(minutes=1))
    shim = start("--phase", "brownout", "--brownout", later, upstream=own_origin.url)
    assert ask(shim.proxy, delete()).status == 202


def test_the_old_clis_loop_stops_at_the_first_refusal_and_ends_its_work_after_the_window(
    start: Start, own_origin: Origin
) -> None:
    """`restate invocations kill` before 1.5: one after the other, until one is no 2xx."""
    brief = window(timedelta(seconds=2), timedelta(seconds=2))
    shim = start("--phase", "brownout", "--brownout", brief, upstream=own_origin.url)

    def loop(todo: list[int]) -> tuple[list[int], int | None]:
        with Client(shim.proxy) as client:
            while todo:
                got = client.ask(delete(todo[0]))
                if not 200 <= got.status < 300:
                    return todo, int(got.values(b"retry-after")[0])
                todo = todo[1:]
                time.sleep(0.05)
        return todo, None

    rest, seconds = loop(list(range(200)))
    assert 0 < len(rest) < 200
    assert seconds is not None
    assert 1 <= seconds <= 2
    time.sleep(seconds)
    assert loop(rest[:10]) == ([], None)
    killed = [one.line for one in own_origin.requests]
    assert len(killed) == len(set(killed)) == 200 - len(rest) + 10


def test_a_freeze_serves_callers_from_before_and_tells_the_others_why(
    start: Start, own_origin: Origin, tmp_path: Path
) -> None:
    config = tmp_path / "shim.toml"
    config.write_text('phase = "translate"\nfreeze-known = ["batch-*"]\n')
    shim = start("--config", str(config), upstream=own_origin.url)
    assert ask(shim.proxy, delete(1, b"old-hand")).status == 202
    config.write_text('phase = "freeze"\nfreeze-known = ["batch-*"]\n')
    shim.event("phase_changed", within=6)
    assert ask(shim.proxy, delete(2, b"old-hand")).status == 202
    assert ask(shim.proxy, delete(3, b"batch-1")).status == 202
    for _ in range(2):
        got = ask(shim.proxy, delete(4, b"newcomer"))
        assert got.status == 405
        assert got.json()["message"].endswith("; only callers from before the freeze are served")
        assert got.values(b"retry-after") == []
    assert get(f"{shim.ops}/phase?caller=old-hand")["caller"]["known"]
    assert get(f"{shim.ops}/phase?caller=newcomer")["caller"]["refused"]


def test_a_dry_run_of_a_freeze_goes_on_noting_whom_it_lets_through(
    start: Start, own_origin: Origin, tmp_path: Path
) -> None:
    # The ledger took them for callers from before: after a restart nothing was noted any more.
    settings = ("--ledger", str(tmp_path / "ledger.db"), "--phase", "freeze", "--dry-run")
    for number in range(2):
        shim = start(*settings, upstream=own_origin.url)
        for call in range(2):
            assert ask(shim.proxy, delete(f"{number}{call}", b"newcomer")).status == 202
            assert shim.use(f"inv_{number}{call}")["would_refuse"] is True
        shim.terminate()
        assert shim.wait(5) == 0
    frozen = start(*settings[:-1], upstream=own_origin.url)
    assert ask(frozen.proxy, delete(9, b"newcomer")).status == 405


def test_an_unusable_mode_is_told_what_is_wrong_with_it_rather_than_refused(
    start: Start, own_origin: Origin
) -> None:
    shim = start("--phase", "reject", upstream=own_origin.url)
    own_origin.script = reply(answer(405, b""))
    assert ask(shim.proxy, delete(1, mode="KILL")).status == 400
    assert shim.use("inv_1")["decision"] == "invalid"


@pytest.mark.parametrize("phase", ["reject", "freeze", "brownout"])
def test_a_dry_run_serves_and_logs_whom_it_would_have_refused(
    phase: str, start: Start, own_origin: Origin
) -> None:
    shim = start(
        "--phase", phase, "--dry-run", "--brownout", open_window(), upstream=own_origin.url
    )
    assert ask(shim.proxy, delete()).status == 202
    assert len(own_origin.requests) == 1
    use = shim.use("inv_1")
    assert (use["decision"], use["phase"], use["status"]) == ("translated", phase, 202)
    assert use["would_refuse"] is True
    metrics = ask(shim.ops, request("GET", "/metrics")).body
    assert b"restate_shim_dry_run_refusals_total 1.0" in metrics
    assert b'restate_shim_phase_info{phase="%s"' % phase.encode() in metrics
    # A page is at most a second old.
    wait_until(
        lambda: b"dry run: refused" in ask(shim.ops, request("GET", "/usage")).body, within=2
    )


def test_the_ledger_keeps_what_a_dry_run_would_have_refused(
    start: Start, own_origin: Origin, tmp_path: Path
) -> None:
    # Only the log told it: a report of the ledger's uses did not.
    ledger = tmp_path / "ledger.db"
    shim = start(
        *("--phase", "reject", "--dry-run", "--ledger", str(ledger)), upstream=own_origin.url
    )
    assert ask(shim.proxy, delete()).status == 202
    (use,) = read_uses(ledger)
    assert use["would_refuse"] is True
    assert use == {name: shim.use("inv_1")[name] for name in use}


def test_answers_to_the_old_call_say_that_it_is_deprecated(
    start: Start, own_origin: Origin
) -> None:
    options = ("--sunset", "2027-01-31", "--warning-header", "--docs-url", "https://docs.example/x")
    shim = start(*options, upstream=own_origin.url)
    got = ask(shim.proxy, delete())
    assert got.values(b"deprecation") == [b"@1750636800"]
    assert got.values(b"sunset") == [b"Sun, 31 Jan 2027 00:00:00 GMT"]
    assert got.values(b"link") == [
        b", ".join(
            (
                b'<https://docs.example/x>; rel="deprecation"; type="text/html"',
                b'<https://docs.example/x>; rel="sunset"; type="text/html"',
                b'</invocations/inv_1/kill>; rel="successor-version"',
            )
        )
    ]
    (warning,) = got.values(b"warning")
    assert warning == (
        b'299 - "DELETE /invocations/{invocation_id} is deprecated, '
        b'use PATCH /invocations/inv_1/kill instead"'
    )
    for other in (request("PATCH", "/invocations/inv_1/kill"), request("GET", "/deployments")):
        found = ask(shim.proxy, other)
        for name in (b"deprecation", b"sunset", b"link", b"warning"):
            assert found.values(name) == []


def test_a_refusal_says_it_too(start: Start, own_origin: Origin) -> None:
    shim = start("--phase", "reject", upstream=own_origin.url)
    got = ask(shim.proxy, delete())
    assert got.values(b"deprecation") == [b"@1750636800"]
    assert b'</invocations/inv_1/kill>; rel="successor-version"' in got.values(b"link")[0]


@pytest.mark.parametrize("options", [["--phase", "observe"], ["--no-headers"]], ids=" ".join)
def test_where_nothing_is_to_be_said_nothing_is(
    options: list[str], start: Start, own_origin: Origin
) -> None:
    shim = start(*options, "--sunset", "2027-01-31", "--warning-header", upstream=own_origin.url)
    got = ask(shim.proxy, delete())
    for name in (b"deprecation", b"sunset", b"link"):
        assert got.values(name) == []
    assert got.values(b"warning") == []


def test_observe_leaves_the_bytes_of_an_answer_as_they_were(
    start: Start, own_origin: Origin
) -> None:
    said = (
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\nX-OdD: 1\r\nx-odd:  2 \r\n"
        b"date: Mon, 01 Jan 2026 00:00:00 GMT\r\n\r\nsaid"
    )
    own_origin.script = reply(said)
    shim = start("--phase", "observe", upstream=own_origin.url)
    heard = []
    for url in (own_origin.url, shim.proxy):
        with Client(url) as client:
            client.send(delete())
            client.read("DELETE")
            heard.append(bytes(client.reader.seen))
    assert heard[0] == heard[1] == said


class TestReload:
    """The file is read again: what changes, what does not, and what a bad one says."""

    def test_a_phase_changes_without_a_restart(
        self, start: Start, own_origin: Origin, tmp_path: Path
    ) -> None:
        config = tmp_path / "shim.toml"
        config.write_text('phase = "translate"\n')
        shim = start("--config", str(config), upstream=own_origin.url)
        assert ask(shim.proxy, delete(1)).status == 202
        config.write_text('phase = "translate"\n[[caller]]\nmatch = "ci-*"\nphase = "reject"\n')
        shim.process.send_signal(signal.SIGHUP)
        shim.event("config_applied")
        assert ask(shim.proxy, delete(2)).status == 405
        assert ask(shim.proxy, delete(3, b"other")).status == 202
        changed = shim.event("phase_changed")
        assert changed["phases"] == "translate, ci-*: reject"
        metrics = ask(shim.ops, request("GET", "/metrics")).body
        assert b"restate_shim_phase_changes_total 1.0" in metrics
        assert b"restate_shim_deprecation_headers_total 3.0" in metrics
        told = get(f"{shim.ops}/phase?caller=ci-1")
        assert told["caller"]["rule"]["match"] == "ci-*"
        assert told["config"] == {"file": str(config), "ok": True, "error": None, "line": None}

    def test_a_bad_file_changes_nothing_and_shows(
        self, start: Start, own_origin: Origin, tmp_path: Path
    ) -> None:
        config = tmp_path / "shim.toml"
        config.write_text('replies = "legacy"\nphase = "reject"\n')
        shim = start("--config", str(config), upstream=own_origin.url)
        config.write_text('replies = "native"\nphase = "loud"\n')
        rejected = shim.event("config_rejected", within=6)
        assert rejected["line"] == 2
        assert "got 'loud', takes one of observe" in rejected["error"]
        ready = get(f"{shim.ops}/ready")
        assert ready["ready"] is True
        assert (ready["config"]["ok"], ready["config"]["line"]) == (False, 2)
        assert get(f"{shim.ops}/phase")["replies"] == "legacy"
        assert b"restate_shim_config_loaded 0.0" in ask(shim.ops, request("GET", "/metrics")).body
        page = ask(shim.ops, request("GET", "/usage")).body.decode()
        assert "as it is now is not in force: line 2: " in page
        assert ask(shim.proxy, delete()).status == 405
        config.write_text('phase = "translate"\n')
        shim.event("config_applied", within=6)
        assert get(f"{shim.ops}/ready")["config"]["ok"]
        # Once per content of the file, though it is looked at every two seconds.
        assert len([event for event in shim.events if event["event"] == "config_rejected"]) == 1

    def test_what_the_headers_say_is_told_when_it_changes(
        self, start: Start, own_origin: Origin, tmp_path: Path
    ) -> None:
        config = tmp_path / "shim.toml"
        config.write_text('sunset = "2027-01-31"\n')
        shim = start("--config", str(config), upstream=own_origin.url)
        assert shim.event("listening")["sunset"] == "2027-01-31T00:00:00.000Z"
        config.write_text("no-headers = true\n")
        shim.process.send_signal(signal.SIGHUP)
        changed = shim.event("headers_changed")
        assert (changed["headers"], changed["sunset"]) == (False, None)

    def test_a_config_map_is_swapped_by_a_link_above_the_file(
        self, start: Start, own_origin: Origin, tmp_path: Path
    ) -> None:
        for name, phase in (("..1", "translate"), ("..2", "reject")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "shim.toml").write_text(f'phase = "{phase}"\n')
        (tmp_path / "..data").symlink_to("..1")
        (tmp_path / "shim.toml").symlink_to("..data/shim.toml")
        shim = start("--config", str(tmp_path / "shim.toml"), upstream=own_origin.url)
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        changed = shim.event("phase_changed", within=6)
        assert (changed["before"], changed["phase"]) == ("translate", "reject")
        assert ask(shim.proxy, delete()).status == 405

    def test_sighup_while_it_starts_ends_nothing(self, own_origin: Origin, tmp_path: Path) -> None:
        # Until the event loop ran, the signal did what it does to any process: end it.
        command = ["-u", "-c", SIGHUP_EARLY, "serve", "--upstream", own_origin.url]
        command += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ledger", "memory"]
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, env=environment(), cwd=ROOT
        )
        assert process.stdout is not None
        try:
            assert any(b'"listening"' in line for line in process.stdout)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_sighup_without_a_file_ends_nothing(self, start: Start, own_origin: Origin) -> None:
        shim = start(upstream=own_origin.url)
        shim.process.send_signal(signal.SIGHUP)
        shim.event("config_unchanged")
        assert ask(shim.proxy, delete()).status == 202

    def test_phases_cannot_be_changed_over_http(self, start: Start, own_origin: Origin) -> None:
        shim = start(upstream=own_origin.url)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            asked = urllib.request.Request(f"{shim.ops}/phase?phase=reject", method=method)
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(asked, timeout=5)
            assert error.value.code == 405
            assert error.value.headers["Allow"] == "GET,HEAD"
            error.value.close()
        assert get(f"{shim.ops}/phase")["phase"] == "translate"

    def test_phase_asks_for_the_token_of_the_ops_port(
        self, start: Start, own_origin: Origin
    ) -> None:
        shim = start("--ops-token", "a-long-token", upstream=own_origin.url)
        with pytest.raises(urllib.error.HTTPError) as error:
            get(f"{shim.ops}/phase")
        assert error.value.code == 401
        error.value.close()

    def test_a_reload_under_load_fails_no_request(
        self, start: Start, own_origin: Origin, tmp_path: Path
    ) -> None:
        config = tmp_path / "shim.toml"
        config.write_text('phase = "translate"\n')
        shim = start("--config", str(config), upstream=own_origin.url)
        ended = threading.Event()
        statuses: list[int] = []
        failures: list[BaseException] = []

        def call(worker: int) -> None:
            number = 0
            try:
                with Client(shim.proxy) as client:
                    while not ended.is_set():
                        number += 1
                        statuses.append(client.ask(delete(f"{worker}_{number}")).status)
                        statuses.append(client.ask(request("GET", "/deployments")).status)
            except BaseException as error:  # noqa: BLE001 -- the test says which
                failures.append(error)

        def come_so_far(applied: int, answered: int) -> bool:
            done = sum(event["event"] == "config_applied" for event in list(shim.events))
            return failures != [] or (done >= applied and len(statuses) >= answered)

        workers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        try:
            for number in range(12):
                replies = "documented" if number % 2 else "native"
                config.write_text(f'phase = "translate"\nreplies = "{replies}"\n')
                shim.process.send_signal(signal.SIGHUP)
                wait_until(partial(come_so_far, number + 1, len(statuses) + 50))
                assert failures == []
        finally:
            ended.set()
            for worker in workers:
                worker.join(10)
        assert failures == []
        # 200 is what `native` says to the old call too.
        assert set(statuses) == {200, 202}
        assert statuses.count(200) > statuses.count(202)
