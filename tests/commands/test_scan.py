"""The command `scan` as it is run: exit codes, formats, baselines, rewriting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shim.report.places import read_places
from tests.support.paths import ROOT
from tests.support.running import environment, restate_shim
from tests.support.waiting import wait_until

OLD = 'curl -X DELETE "$RESTATE_ADMIN/invocations/$i?mode=kill"\n'
NEW = 'curl -X PATCH "$RESTATE_ADMIN/invocations/$i/kill"\n'


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return restate_shim("scan", *map(str, words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.sh").write_text(OLD)
    (folder / "b.bin").write_bytes(b"\x00")
    return folder


def test_it_exits_with_3_where_there_is_an_old_call_and_0_where_there_is_none(folder: Path) -> None:
    found = run(folder)
    assert found.returncode == 3
    assert f"{folder}/a.sh:1:1  certain  kill" in found.stdout
    assert "PATCH" in found.stdout
    (folder / "a.sh").write_text(NEW)
    none = run(folder)
    assert none.returncode == 0
    assert none.stdout == "0 old calls in 1 file, 1 skipped\n"


def test_what_is_skipped_is_said_on_stderr(folder: Path) -> None:
    assert run(folder, "--format", "json").stderr == f"skipped {folder}/b.bin: binary\n"


def test_json_and_sarif_and_markdown_are_written(folder: Path) -> None:
    assert json.loads(run(folder, "--format", "json").stdout)["files"] == 1
    assert json.loads(run(folder, "--format", "sarif").stdout)["version"] == "2.1.0"
    assert run(folder, "--format", "markdown").stdout.startswith("## 1 old call in 1 file\n")


def test_a_baseline_leaves_what_is_new(folder: Path) -> None:
    baseline = folder.parent / "before.json"
    baseline.write_text(run(folder, "--format", "json").stdout)
    assert run(folder, "--baseline", baseline).returncode == 0
    (folder / "c.sh").write_text(OLD)
    assert run(folder, "--baseline", baseline).returncode == 3


def test_diff_shows_and_fix_writes(folder: Path) -> None:
    shown = run(folder, "--diff")
    assert shown.returncode == 3
    assert f"+{NEW}" in shown.stdout
    assert (folder / "a.sh").read_text() == OLD
    written = run(folder, "--fix")
    assert written.returncode == 0
    assert "rewrote 1 old call in 1 file; handle 404 and 409 there" in written.stderr
    assert (folder / "a.sh").read_text() == NEW


def test_a_diff_is_what_git_applies(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    command = [sys.executable, "-m", "shim", "scan", ".", "--diff"]
    diff = subprocess.run(command, cwd=folder, capture_output=True, check=False, env=environment())
    subprocess.run(["git", "apply"], cwd=folder, input=diff.stdout, check=True)
    assert (folder / "a.sh").read_text() == NEW


def test_a_reader_may_leave_early(folder: Path) -> None:
    for number in range(400):
        (folder / f"{number}.sh").write_text(OLD * 20)
    command = [sys.executable, "-m", "shim", "scan", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=ROOT
    ) as scan:
        assert scan.stdout is not None
        scan.stdout.readline()
        scan.stdout.close()
        assert scan.wait(60) == 3
        assert scan.stderr is not None
        assert b"Traceback" not in scan.stderr.read()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("/nowhere",), "/nowhere: there is no such file or folder"),
        ((".", "--baseline", "/nowhere.json"), "--baseline: /nowhere.json: No such file"),
        ((".", "--baseline", "pyproject.toml"), "--baseline: pyproject.toml: is no JSON report"),
        ((), "the following arguments are required: PATH"),
        ((".", "--min-confidence", "sure"), "invalid choice: 'sure'"),
        ((".", "--fix", "--diff"), "not allowed with argument"),
        # An unset variable was the current folder, and what cannot be read held no old call.
        (("",), "argument PATH: is empty"),
        (("/dev/null",), "/dev/null: is neither a file nor a folder"),
    ],
)
def test_bad_usage_exits_with_2(words: tuple[str, ...], says: str) -> None:
    ended = run(*words)
    assert ended.returncode == 2
    assert says in ended.stderr


# There was a traceback.
def test_a_disk_that_is_full_is_said(folder: Path) -> None:
    command = [sys.executable, "-m", "shim", "scan", str(folder)]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=environment(), cwd=ROOT, check=False
        )
    assert ended.returncode == 2
    assert ended.stderr.endswith(
        b"restate-shim scan: cannot write the report: No space left on device\n"
    )


# There was a traceback.
def test_it_can_be_interrupted(folder: Path) -> None:
    (folder / "z.sh").write_text(OLD * 20_000)
    command = [sys.executable, "-m", "shim", "scan", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, env=environment(), cwd=ROOT
    ) as process:
        wait_until(lambda: b"ast_grep" in Path(f"/proc/{process.pid}/maps").read_bytes())
        # It cannot be done by now: nobody has read its report, which is larger than a pipe.
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        assert said == b""
        assert process.returncode == 130


# Lone surrogates stood in the JSON, which no reader of it took.
def test_a_name_that_is_not_utf_8_is_escaped(folder: Path) -> None:
    (folder / os.fsdecode(b"d\xff.sh")).write_text(OLD)
    (folder / "a.sh").unlink()
    report = folder.parent / "findings.json"
    report.write_text(run(folder, "--format", "json").stdout)
    assert json.loads(report.read_text())["findings"][0]["path"] == f"{folder}/d\\xff.sh"
    assert len(read_places(report)) == 1
    assert run(folder, "--baseline", report).returncode == 0


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=ROOT,
        check=False,
    )


def test_other_commands_do_not_load_it() -> None:
    ended = python(
        "import sys; from shim.cli import main\n"
        "main(['report', '--ledger', '/nonexistent.db'])\n"
        "print([name for name in sys.modules if name.startswith(('shim.scan', 'ast_grep'))])"
    )
    assert ended.stdout.splitlines()[-1] == "[]"
