"""A diff is what git applies, whatever is in a file and in its name; a terminal is told less."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
from pathlib import Path

import pytest

from shim.commands.scan import run
from shim.scan.diffs import diff
from shim.scan.finding import Confidence
from shim.scan.fixing import rewrites
from shim.scan.scan import scan

OLD = "curl -X DELETE $RESTATE_ADMIN/invocations/$i?mode=kill\n"
NEW = "curl -X PATCH $RESTATE_ADMIN/invocations/$i/kill\n"


def applied(folder: Path) -> None:
    """Apply what a scan of the folder finds, as `restate-shim scan . --diff | git apply` does."""
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    os.chdir(folder)
    patch = "".join(one.diff() for one in rewrites(scan([Path()], Confidence.LIKELY)))
    data = patch.encode()
    subprocess.run(["git", "apply", "--check"], cwd=folder, input=data, check=True)
    subprocess.run(["git", "apply"], cwd=folder, input=data, check=True)


# What it did: the mark of the order of bytes was missing from the first line, and text was split
# where str.splitlines splits it; git found no such lines.
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "\ufeff{}",
        "#!/bin/sh\r\n{}exit\r\n",
        "# a\fb\vc\x1cd\x1de\x85f\u2028g\u2029h\n{}# a\fb\vc\x1cd\x1de\x85f\u2028g\u2029h\n",
        "{}# a\u2028b",
        "# a\rb\n\n\n\n\n\n{}\n\n\n\n\n\n{}\n",
        "# \x1b[31m\x07\n{}",
    ],
)
def test_whatever_is_in_a_file_git_applies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.sh").write_bytes(around.replace("{}", OLD).encode())
    applied(tmp_path)
    assert (tmp_path / "a.sh").read_bytes() == around.replace("{}", NEW).encode()


def test_a_last_line_without_an_end_stays_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.sh").write_bytes(OLD.strip().encode())
    applied(tmp_path)
    assert (tmp_path / "a.sh").read_bytes() == NEW.strip().encode()


# What it did: a line feed in a name broke the header, and a name that is no UTF-8 ended the run.
@pytest.mark.parametrize(
    "name",
    [
        b"a b.sh",
        b" a.sh",
        b"a\nb.sh",
        b"a\tb.sh",
        b'a"b\\c.sh',
        b"\x1b[31m\x07.sh",
        b"\xff\xfe.sh",
        "é ü.sh".encode(),
        b"a/b c/d.sh",
        b"-.sh",
    ],
)
def test_whatever_a_file_is_called_git_applies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OLD)
    applied(tmp_path)
    assert path.read_text() == NEW


def test_nothing_changed_is_no_diff() -> None:
    assert diff("a.sh", OLD, OLD) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# What it did: a file's own escape sequences went to the terminal.
def test_a_terminal_is_sent_no_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m.sh"
    path.write_bytes(b"# \x1b]0;owned\x07\r\n\t" + OLD.encode())
    arguments = argparse.Namespace(
        paths=[path], min_confidence="likely", baseline=None, fix=False, diff=True, format="table"
    )
    shown, piped = Terminal(), io.StringIO()
    run(arguments, out=shown, err=io.StringIO())
    run(arguments, out=piped, err=io.StringIO())
    assert "\x1b]0;owned\x07\r\n" in piped.getvalue()
    assert not {character for character in shown.getvalue() if character < " "} - {"\n"}
    assert " # \\x1b]0;owned\\x07\n" in shown.getvalue()
    assert f"+       {NEW}" in shown.getvalue()
