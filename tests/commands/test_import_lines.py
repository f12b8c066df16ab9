"""`restate-shim import`: what the log tells, brought back into a ledger."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from shim.cli import main
from shim.ledger import events
from shim.ledger.reading import read_near_misses, read_uses
from tests.support.samples import HOUR, NOW, as_lines, beats, life_line, use_line

USES = [use_line(NOW - n * HOUR, n) for n in range(20)]
MISS = use_line(
    NOW, 99, event=events.NEAR_MISS, kind="wrong_method", method="POST", hint="PATCH it"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "shim.log"
    values = [*beats(NOW - 2 * HOUR, NOW), *USES[:15], MISS, life_line("stopped", NOW)]
    path.write_bytes(as_lines(values) + b"no record\n")
    return path


def test_every_record_is_added_once_however_often_it_is_given(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "ledger.db"
    again = tmp_path / "other.log.gz"
    again.write_bytes(gzip.compress(as_lines(USES[10:])))
    assert main(["import", str(log), "--ledger", str(ledger)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("16 records added, 0 already there, ")
    assert said.out.endswith(" 1 unreadable\n")
    assert "shim.log:" in said.err
    assert "Not brought back: heartbeats" in said.err
    assert main(["import", str(again), str(log), "--ledger", str(ledger)]) == 0
    assert capsys.readouterr().out.startswith("5 records added, 16 already there")
    assert {use["id"] for use in read_uses(ledger)} == {use["id"] for use in USES}
    (miss,) = read_near_misses(ledger)
    assert miss["hint"] == "PATCH it"


def test_a_terminal_is_shown_how_far_it_is(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["import", str(log), "--ledger", str(tmp_path / "ledger.db")]) == 0
    assert "shim.log" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_a_report_of_the_ledger_then_tells_what_one_of_the_lines_does(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "ledger.db"
    main(["import", str(log), "--ledger", str(ledger)])
    capsys.readouterr()
    reports = []
    for record in (log, ledger):
        main(["report", str(record), "--format", "json"])
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0]["totals"] == reports[1]["totals"]
    assert reports[0]["callers"] == reports[1]["callers"]


def test_what_no_shim_has_ever_decided_is_not_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It was taken, and from then on neither page nor report could be made.
    log = tmp_path / "log"
    log.write_bytes(as_lines([use_line(NOW, 1, decision="weird"), use_line(NOW, 2)]))
    assert main(["import", str(log), "--ledger", str(tmp_path / "ledger.db")]) == 0
    assert capsys.readouterr().out.startswith("1 record added")
    assert len(list(read_uses(tmp_path / "ledger.db"))) == 1


def test_lines_come_from_stdin_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(as_lines(USES)))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["import", "-", "--ledger", str(tmp_path / "ledger.db")]) == 0
    assert capsys.readouterr().out.startswith("20 records added")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.db"], "a.db is a ledger: takes JSON lines"),
        (["missing.log"], "cannot read missing.log: No such file or directory"),
        (["log", "--ledger", "memory"], "a ledger in memory cannot be added to: name a file"),
        (["log", "--ledger", "a/b/c.db"], "folder a/b is missing"),
        (["log", "--ledger", "a.db", "--fleet", "postgresql://h/d"], "takes --ledger or --fleet"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").write_bytes(as_lines(USES))
    sqlite3.connect("a.db").execute("CREATE TABLE t (x)").connection.close()
    assert main(["import", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
