"""``restate-shim report`` as it is run: files, flags, exit codes."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import resource
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shim.commands.arguments import make_parser
from shim.commands.report import run
from shim.ledger.ledger import Ledger
from shim.ledger.records import Decision, Use
from shim.moments import parse_rfc3339
from tests.support.ledger_records import append
from tests.support.paths import ROOT
from tests.support.samples import DAY, HOUR, NOW, as_lines, beats, use_line

LONG_AGO = NOW - 15 * DAY
QUIET = [use_line(LONG_AGO, 1), *beats(LONG_AGO, NOW)]


def report(*arguments: object, now: datetime = NOW) -> tuple[int, str, str]:
    """Run the command; return its exit code, output and complaints."""
    out, err = io.StringIO(), io.StringIO()
    args = make_parser().parse_args(["report", *map(str, arguments)])
    code = run(args, out=out, err=err, now=now)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def _away_from_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SHIM_LEDGER", "SHIM_FLEET", "SHIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def write(path: Path, values: list[dict[str, Any]]) -> Path:
    path.write_bytes(as_lines(values))
    return path


@pytest.mark.parametrize(
    ("values", "window", "code"),
    [
        (QUIET, "14d", 0),
        (QUIET, "P14D", 0),
        (QUIET, "16d", 3),
        ([use_line(NOW - DAY), *QUIET], "14d", 3),
        ([use_line(LONG_AGO)], "14d", 4),
        (QUIET[:5000] + QUIET[5005:], "14d", 4),
        ([], "1h", 4),
    ],
    ids=["quiet", "iso 8601", "used before", "used", "no heartbeats", "a gap", "nothing"],
)
def test_the_exit_code_answers(
    tmp_path: Path, values: list[dict[str, Any]], window: str, code: int
) -> None:
    log = write(tmp_path / "log", values)
    assert report(log, "--fail-if-used-within", window)[0] == code
    assert report(log)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "--since: got 'yesterday', takes a duration back such as 30d"),
        (["--since", "2027-01-01"], "takes a moment in the past"),
        (["--fail-if-used-within", "soon"], "takes a duration such as"),
        (["--fail-if-used-within", "0s"], "above zero"),
        (["--fail-if-used-within", "9999999d"], "--fail-if-used-within"),
        ([], "there is no ledger at restate-shim.db"),
        (["--ledger", "memory"], "ask the shim itself"),
        (["--ledger", "nowhere.db"], "there is no ledger at nowhere.db"),
        (["nowhere.log"], "cannot read nowhere.log"),
        (["."], "cannot read"),
        (["log", "--ledger", "x.db"], "either files, or --ledger"),
        (["--config", "nowhere.toml"], "cannot read nowhere.toml"),
        (["-", "--uses", "--fail-if-used-within", "1d"], "stdin is read once"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_says_what_would_be_right(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    write(tmp_path / "log", QUIET[:2])
    code, out, err = report(*arguments)
    assert code == 2
    assert said in err
    assert not out


def test_stdin_and_gzip_and_repeats_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [use_line(NOW - n * HOUR, n) for n in range(10)]
    packed = tmp_path / "log.1.gz"
    packed.write_bytes(gzip.compress(as_lines(values[:6])))
    plain = write(tmp_path / "log", values[4:8])
    rest = io.TextIOWrapper(io.BytesIO(as_lines(values[7:])))
    monkeypatch.setattr(sys, "stdin", rest)
    code, out, err = report(packed, plain, plain, "-", "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["totals"]["uses"] == 10


def test_since_leaves_out_what_was_before(tmp_path: Path) -> None:
    log = write(tmp_path / "log", [use_line(NOW - n * DAY, n) for n in range(10)])
    for since, count in ("3d", 4), ("2026-11-20", 4), ("2026-11-20T20:00Z", 3), ("90d", 10):
        found = json.loads(report(log, "--since", since, "--format", "json")[1])
        assert found["totals"]["uses"] == count, since
        assert found["since"] is not None


def test_uses_are_lines_that_can_be_read_again(tmp_path: Path) -> None:
    log = write(tmp_path / "log", [use_line(NOW - n * HOUR, n % 4) for n in range(8)])
    _, out, _ = report(log, "--uses")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["deprecated_route_used"] * 4
    again = tmp_path / "again"
    again.write_text(out)
    assert report(again, "--uses")[1] == out


def test_broken_lines_are_named_on_stderr(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"panic\x1b[31m!\n" + as_lines([use_line(NOW)]))
    code, out, err = report(log, "--format", "json")
    assert code == 0
    assert json.loads(out)["totals"]["uses"] == 1
    assert "1 line without a record" in err
    assert "log:1: no JSON object" in err


def test_owners_and_acknowledgements_come_from_the_configuration(tmp_path: Path) -> None:
    log = write(tmp_path / "log", [use_line(NOW - HOUR, 1), *QUIET[1:]])
    config = tmp_path / "shim.toml"
    config.write_text(
        '[[caller]]\nmatch = "ci-*"\nowner = "platform"\nacknowledged_until = 2026-12-31\n'
    )
    arguments = (log, "--fail-if-used-within", "14d", "--format", "json")
    assert report(*arguments)[0] == 3
    code, out, _ = report(*arguments, "--config", config)
    assert code == 5
    assert json.loads(out)["callers"][0]["owner"] == "platform"


@pytest.mark.parametrize("style", ["table", "json", "csv", "markdown", "html"])
def test_every_format_names_the_caller(tmp_path: Path, style: str) -> None:
    log = write(tmp_path / "log", QUIET)
    code, out, _ = report(log, "--format", style)
    assert code == 0
    assert "ci-7" in out
    if style == "csv":
        assert next(csv.DictReader(io.StringIO(out)))["uses"] == "1"


async def _fill(path: Path, values: list[dict[str, Any]], clock: datetime) -> None:
    ledger = Ledger(path, instance="shim-a", clock=lambda: clock, on_change=lambda _: None)
    ledger.start()
    for value in values:
        fields = {name: value[name] for name in Use.__struct_fields__ if name in value}
        fields["timestamp"] = parse_rfc3339(value["timestamp"])
        fields["decision"] = Decision(value["decision"])
        assert await append(ledger, Use(**fields))
    await ledger.close()


def test_a_ledger_gives_what_its_lines_give(tmp_path: Path) -> None:
    values = [use_line(NOW - n * HOUR, n, caller=f"c{n % 3}") for n in range(20)]
    ledger = tmp_path / "x.db"
    asyncio.run(_fill(ledger, values, NOW))
    log = write(tmp_path / "log", values)
    from_lines = json.loads(report(log, "--format", "json")[1])
    for arguments in ([ledger], ["--ledger", ledger]):
        code, out, err = report(*arguments, "--format", "json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert found["totals"] == from_lines["totals"]
        assert found["callers"] == from_lines["callers"]
    uses = [json.loads(line) for line in report(ledger, "--uses")[1].splitlines()]
    assert sorted(use["id"] for use in uses) == sorted(value["id"] for value in values)
    assert report(ledger, "--fail-if-used-within", "14d")[0] == 3


def test_the_ledger_that_is_named_counts_whatever_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_FLEET", "postgresql://nobody@127.0.0.1:1/none")
    asyncio.run(_fill(tmp_path / "a.db", [use_line(NOW)], NOW))
    assert report("--ledger", "a.db", "--format", "json")[0] == 0
    code, _, err = report("--ledger", "a.db", "--fleet", "postgresql://x/y")
    assert code == 2
    assert "not both" in err


def test_a_terminal_that_is_not_utf_8_gets_escapes(tmp_path: Path) -> None:
    log = write(tmp_path / "log", [use_line(NOW, caller="日本")])
    for style in ("table", "markdown", "csv", "html"):
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        args = make_parser().parse_args(["report", str(log), "--format", style])
        assert run(args, out=out, err=io.StringIO(), now=NOW) == 0
        out.flush()
        assert b"\\u65e5\\u672c" in raw.getvalue()


def test_two_ledgers_add_up_and_one_given_twice_does_not(tmp_path: Path) -> None:
    for n, name in enumerate(("a.db", "b.db")):
        asyncio.run(_fill(tmp_path / name, [use_line(NOW, n)], NOW))
    found = json.loads(report("a.db", "b.db", "./a.db", "--format", "json")[1])
    assert found["totals"]["uses"] == 2


# The log of one shim was imported into the ledger of another: 398 uses for 199.
def test_a_use_in_two_ledgers_counts_once(tmp_path: Path) -> None:
    lines = [use_line(NOW - n * HOUR, n) for n in range(5)]
    for name, values in (("a.db", lines), ("b.db", lines[2:])):
        asyncio.run(_fill(tmp_path / name, values, NOW))
    found = json.loads(report("a.db", "b.db", "--format", "json")[1])
    assert found["totals"]["uses"] == 5
    assert found["callers"][0]["addresses"] == {"10.0.0.7": 5}
    uses = report("a.db", "b.db", "--uses")[1].splitlines()
    assert len(uses) == 5


def test_a_report_of_a_part_is_judged_by_the_whole(tmp_path: Path) -> None:
    # `--since 5m` two hours after a use was green.
    lines = [
        use_line(NOW - 2 * HOUR, 1),
        use_line(NOW - 20 * HOUR, 2),
        *beats(NOW - 20 * HOUR, NOW),
    ]
    log = write(tmp_path / "log", lines)
    asyncio.run(_fill(tmp_path / "a.db", lines[:2], NOW))
    for source in (str(log), "a.db"):
        arguments = (source, "--since", "5m", "--fail-if-used-within", "3h", "--format", "json")
        code, out, _ = report(*arguments)
        found = json.loads(out)
        assert (code, found["verdict"]["status"]) == (3, "in_use")
        assert (found["totals"]["uses"], found["callers"]) == (0, [])
        code, out, _ = report(source, "--since", "3h", "--format", "json")
        assert json.loads(out)["totals"]["uses"] == 1


def test_a_part_of_the_callers_is_that_of_one_owner(tmp_path: Path) -> None:
    lines = [use_line(NOW - HOUR, 1, caller="a"), use_line(NOW - HOUR, 2, caller="b")]
    config = tmp_path / "shim.toml"
    config.write_text('[[caller]]\nmatch = "a"\nowner = "billing"\ncontact = "#billing"\n')
    log = write(tmp_path / "log", lines)
    arguments = (str(log), "--config", str(config), "--owner", "bill*", "--format")
    assert [one["caller"] for one in json.loads(report(*arguments, "json")[1])["callers"]] == ["a"]
    ticket = report(*arguments, "markdown")[1]
    for said in ("### a (active)", "this week: 1 old call, 0 new calls", "&#35;billing", "By when"):
        assert said in ticket
    assert "### b" not in ticket


@pytest.mark.parametrize(
    ("instances", "code"), [("1", 3), ("shim-a", 3), ("3", 3), ("0", 2), ("a b", 2), ("", 2)]
)
def test_the_shims_that_should_record_are_given_in_words(
    tmp_path: Path, instances: str, code: int
) -> None:
    log = write(tmp_path / "log", [use_line(NOW - HOUR, 1)])
    done = report(str(log), "--instances", instances, "--fail-if-used-within", "14d")
    assert done[0] == code
    if code == 2:
        assert "takes how many shims should record, such as 3, or their names" in done[2]


def test_a_ledger_and_lines_together_are_refused(tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path / "a.db", [use_line(NOW)], NOW))
    write(tmp_path / "log", QUIET)
    code, _, err = report("a.db", "log")
    assert code == 2
    assert "not both" in err


@pytest.mark.parametrize("place", ["localhost:9171", "[::1]:9171", "10.0.0.7:9171"])
def test_a_shim_that_is_named_without_its_scheme_is_told_of_it(place: str, tmp_path: Path) -> None:
    # It said "No such file or directory", where `check --ops` takes that form.
    assert report(place) == (
        2,
        "",
        f"restate-shim report: there is no file {place}; did you mean http://{place}\n",
    )
    write(tmp_path / place, QUIET)
    assert report(place, "--format", "csv")[0] == 0
    code, _, err = report("C:missing.db")
    assert (code, "did you mean" in err) == (2, False)


def test_a_file_that_is_no_ledger_inside_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    code, _, err = report("a.db")
    assert code == 2
    assert "a.db" in err


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    log = str(write(tmp_path / "log", QUIET))
    for arguments, code in (
        (["--uses"], 0),
        (["--format", "json"], 0),
        (["--format", "json", "--fail-if-used-within", "16d"], 3),
        # The table ended with 1, which is no verdict.
        (["--fail-if-used-within", "16d"], 3),
        (["--fail-if-used-within", "14d"], 0),
        ([], 0),
    ):
        args = make_parser().parse_args(["report", log, *arguments])
        assert run(args, out=Gone(), err=io.StringIO(), now=NOW) == code


def test_a_big_log_is_read_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "log.gz"
    with gzip.open(log, "wb", compresslevel=1) as out:
        for n in range(20_000):
            line = use_line(NOW - timedelta(seconds=n), n, user_agent="x" * 2000)
            out.write(json.dumps(line).encode() + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = json.loads(report(log, "--format", "json")[1])
    assert found["totals"]["uses"] == 20_000
    # 50 MB of text went by; KiB on Linux.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_a_report_needs_none_of_the_files_that_serving_does(tmp_path: Path) -> None:
    # It refused to run where the certificates that its settings' file names are not.
    log = write(tmp_path / "log", QUIET)
    config = tmp_path / "shim.toml"
    config.write_text(
        'tls-cert = "/etc/none.pem"\nphase = "loud"\n[[caller]]\nmatch = "*"\nowner = "platform"\n'
    )
    code, out, _ = report(log, "--config", str(config), "--format", "json")
    assert code == 0
    assert json.loads(out)["callers"][0]["owner"] == "platform"


def test_two_copies_of_a_ledger_are_refused(tmp_path: Path) -> None:
    # Their uses counted twice; of JSON lines each counts once.
    ledger, copy = tmp_path / "x.db", tmp_path / "copy.db"
    asyncio.run(_fill(ledger, [use_line(NOW, 1)], NOW))
    shutil.copy(ledger, copy)
    for more in ([], ["--uses"]):
        code, out, err = report(str(ledger), str(copy), *more)
        assert (code, out) == (2, "")
        assert "are copies of one ledger: takes one of them" in err


def test_a_report_that_cannot_be_written_is_no_verdict(tmp_path: Path) -> None:
    log = write(tmp_path / "log", QUIET)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "shim", "report", str(log), "--fail-if-used-within", "1h"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 2
    assert done.stderr == "restate-shim report: cannot write the report: No space left on device\n"
