"""The command `brownouts`: windows to come, and whom they would have hurt by a real ledger."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shim.ledger.adding import import_records
from shim.ledger.ledger import Ledger
from shim.moments import rfc3339
from tests.support.ledger_records import a_use, append
from tests.support.running import restate_shim


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return restate_shim("brownouts", *arguments)


async def test_the_command_reads_the_ledger_and_tells_both(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    moment = datetime.now(UTC) - timedelta(days=2)
    ledger = Ledger(path, instance="a", clock=lambda: datetime.now(UTC), on_change=lambda _: None)
    ledger.start()
    await append(ledger, a_use("nightly", moment))
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


async def test_a_ledger_that_is_named_is_read_whatever_fleet_is_configured(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    import_records(path, [a_use("nightly", datetime.now(UTC) - timedelta(days=2))])
    window = ("--brownout", "2026-11-01/P1D")
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    ended = restate_shim("brownouts", *window, "--ledger", str(path), SHIM_FLEET=nowhere)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "No rehearsal" not in ended.stdout
    # A shim's own arguments can be given as they are: its record is the fleet.
    ended = restate_shim("brownouts", *window, "--ledger", str(path), "--fleet", nowhere)
    assert "No rehearsal: cannot open the fleet" in ended.stdout


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
