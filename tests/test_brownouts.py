"""The command `brownouts`: windows to come, and the rehearsal against a real ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shim.ledger.ledger import Ledger
from shim.ledger.records import Decision, Use
from shim.moments import rfc3339
from shim.report.rehearsal import rehearse
from shim.settings.declared import SETTINGS
from shim.settings.loading import load

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ROOT = Path(__file__).parents[1]


def use(caller: str, moment: datetime, number: int = 1, **more: Any) -> Use:
    given: dict[str, Any] = {
        "id": f"{caller}-{moment.timestamp()}-{number}",
        "timestamp": moment,
        "caller": caller,
        "caller_source": "header",
        "user_agent": None,
        "client_address": "127.0.0.1",
        "request_id": None,
        "trace_id": None,
        "target": f"/invocations/inv_{number}?mode=kill",
        "api_version": None,
        "invocation_id": f"inv_{number}",
        "mode": "kill",
        "mode_given": "kill",
        "phase": "translate",
        "decision": Decision.TRANSLATED,
        "replacement": f"PATCH /invocations/inv_{number}/kill",
        "upstream_status": 200,
        "status": 202,
        "masked": False,
        "duration_ms": 1.0,
        "error": None,
        "instance": "a",
        "version": "1",
    }
    return Use(**{**given, **more})


def tuesday(clock: str, week: int = 0) -> datetime:
    """17 November 2026, or so many weeks later, at that time."""
    return datetime.fromisoformat(f"2026-11-17T{clock}+00:00") + timedelta(weeks=week)


def refused(
    uses: list[Use], config: Path | None = None, **flags: str | list[str]
) -> dict[str, Any]:
    given: dict[str, Any] = {"brownout": ["0 10 * * TUE/PT30M"], **flags}
    settings = load(given, {}, config)
    dicts = [one.as_dict() for one in sorted(uses, key=lambda one: one.timestamp)]
    found = rehearse(settings.terms, dicts, NOW - timedelta(days=14), NOW)
    return {hit.caller: (hit.refused, hit.retried, hit.uses) for hit in found.callers}


def test_who_called_in_a_window_is_told_and_who_did_not_is_not() -> None:
    uses = [
        use("early", tuesday("09:59:59.999")),
        use("first", tuesday("10:00:00")),
        use("last", tuesday("10:29:59.999")),
        use("late", tuesday("10:30:00")),
        use("last", tuesday("11:00:00"), 2),
    ]
    assert refused(uses) == {"first": (1, 0, 1), "last": (1, 0, 2)}


def test_a_call_that_comes_again_soon_is_one_that_gets_over_it() -> None:
    uses = [
        use("retries", tuesday("10:00:00")),
        use("retries", tuesday("10:10:00")),
        use("too-late", tuesday("10:00:00")),
        use("too-late", tuesday("10:10:00.001")),
        use("another-id", tuesday("10:00:00"), 1),
        use("another-id", tuesday("10:01:00"), 2),
        use("another-mode", tuesday("10:29:00")),
        use("another-mode", tuesday("10:31:00"), mode="purge"),
    ]
    assert refused(uses) == {
        "another-id": (2, 0, 2),
        "another-mode": (1, 0, 2),
        "retries": (2, 1, 2),
        "too-late": (2, 0, 2),
    }


def test_who_is_not_served_anyway_is_not_counted() -> None:
    uses = [
        use("a", tuesday("10:00:00"), decision=Decision.INVALID, mode=None),
        use("a", tuesday("10:00:01"), decision=Decision.REFUSED),
    ]
    assert refused(uses) == {}


def test_callers_with_a_phase_of_their_own_keep_it(tmp_path: Path) -> None:
    config = tmp_path / "shim.toml"
    config.write_text('[[caller]]\nmatch = "exempt-*"\nphase = "translate"\n')
    uses = [use("exempt-1", tuesday("10:00:00")), use("b", tuesday("10:00:00"))]
    assert refused(uses, config) == {"b": (1, 0, 1)}


def test_a_share_refuses_its_part() -> None:
    uses = [use("a", tuesday("10:00:00"), number) for number in range(12)]
    assert refused(uses, brownout_share="50%") == {"a": (5, 0, 12)}


def test_jitter_of_the_past_is_played_too() -> None:
    # 17 November's begins at 10:06:02.
    uses = [use("on-time", tuesday("10:00:00")), use("late", tuesday("10:36:00"))]
    assert refused(uses, brownout_jitter="45m") == {"late": (1, 0, 1)}


def test_a_window_to_come_is_played_in_the_weeks_before() -> None:
    uses = [use("a", tuesday("10:00:00", week=-1)), use("a", tuesday("10:29:00"))]
    assert refused(uses, brownout=["2026-12-01T10:00Z/PT30M"]) == {"a": (2, 0, 2)}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shim", "brownouts", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=ROOT,
        check=False,
    )


async def test_the_command_reads_the_ledger_and_tells_both(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    moment = datetime.now(UTC) - timedelta(days=2)
    ledger = Ledger(path, instance="a", clock=lambda: datetime.now(UTC), on_change=lambda _: None)
    ledger.start()
    await ledger.append(use("nightly", moment))
    await ledger.close()
    start = (moment - timedelta(minutes=5)).replace(microsecond=0) + timedelta(weeks=1)
    window = f"{rfc3339(start)}/PT10M"
    arguments = ("--ledger", str(path), "--brownout", window, "--rehearse", "7d")
    told = json.loads(run(*arguments, "--format", "json").stdout)
    assert told["next"] == [
        {"start": rfc3339(start), "end": rfc3339(start + timedelta(minutes=10))}
    ]
    (hit,) = told["rehearsal"]["callers"]
    assert (hit["caller"], hit["refused"], hit["retried"]) == ("nightly", 1, 0)
    text = run(*arguments).stdout
    assert f"{start:%Y-%m-%d %H:%M}" in text
    assert "nightly" in text
    assert "Phase is translate" in text
    # Whom it would have hurt is half of what the command is for: it was told only when asked.
    assert "nightly" in run(*arguments[:4]).stdout


def test_without_a_ledger_the_windows_are_told_and_that_there_is_no_rehearsal() -> None:
    window = ("--brownout", "2126-12-01/P1D", "--tls-cert", "/nonexistent.pem")
    ended = run(*window, "--ledger", "/nonexistent.db")
    assert ended.returncode == 0, ended.stderr
    assert "Sun 2126-12-01" in ended.stdout
    assert "No rehearsal: --ledger: there is no ledger to read at /nonexistent.db" in ended.stdout
    ended = run(*window, "--ledger", "memory", "--format", "json")
    assert "rehearsal" not in json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--brownout: there is no window"),
        (("--brownout", "soon"), "--brownout: got 'soon', takes START/DURATION"),
        (("--brownout", "2026-12-01/P1D", "--next", "-1"), "--next: got -1"),
        (("--brownout", "2026-12-01/P1D", "--rehearse", "x"), "--rehearse: got 'x'"),
        (("--brownout", "2026-12-01/P1D", "--rehearse", "0d"), "--rehearse: got '0d'"),
        (
            ("--brownout", "2026-12-01/P1D", "--rehearse", "7d", "--ledger", "/nonexistent.db"),
            "no ledger to read at /nonexistent.db",
        ),
        (
            ("--brownout", "2026-12-01/P1D", "--rehearse", "7d", "--ledger", "memory"),
            "no ledger to read at memory",
        ),
        (
            ("--brownout", "2026-12-01/P1D", "--rehearse", "7d", "--ledger", __file__),
            "is not a database",
        ),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(
    arguments: tuple[str, ...], says: str
) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


# The default 100% was taken for a format by argparse: --help ended in a traceback.
@pytest.mark.parametrize("command", ["serve", "brownouts", "check"])
def test_help_tells_every_setting(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "shim", command, "--help"],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=ROOT,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    for setting in SETTINGS:
        assert f"--{setting.name}" in ended.stdout
