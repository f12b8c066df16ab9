"""`make` as a newcomer uses it: what it installs, on which Python, and where the command is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.making import Tree, a_python
from tests.support.tools import tool

QUIET = "install --quiet --progress-bar on --editable"
PIP = "install --quiet --upgrade pip>=25.1"
WHERE = "make: the command is .venv/bin/restate-shim\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tool("make", "Debian make")
    return Tree(tmp_path)


def test_setup_installs_what_running_needs_once_and_says_each_time_where_it_is(tree: Tree) -> None:
    first = tree.make("setup")
    assert first.endswith(WHERE)
    assert tree.asked() == [f"3.12 {PIP}", f"3.12 {QUIET} ."]
    # It said "Nothing to be done for 'setup'".
    assert tree.make("setup") == WHERE
    assert tree.asked() == []


def test_the_demo_installs_its_extra_and_no_other(tree: Tree) -> None:
    said = tree.make("demo", "DEMO_ARGS=--help")
    assert WHERE in said
    assert "show the report" in said
    assert tree.asked() == [f"3.12 {PIP}", f"3.12 {QUIET} .", f"3.12 {QUIET} .[demo]"]


def test_what_testing_needs_has_the_demo_in_it(tree: Tree) -> None:
    tree.make("test", "PYTEST_ARGS=--version")
    assert tree.asked()[2:] == [
        f"3.12 {QUIET} .[demo,fleet,scan] --group test --group lint",
    ]
    tree.make("demo", "DEMO_ARGS=--help")
    assert tree.asked() == []


def test_a_python_that_is_asked_for_is_taken_where_there_is_a_venv(tree: Tree) -> None:
    tree.make("setup")
    tree.asked()
    other = a_python(tree.folder.parent, "3.13")
    tree.make("setup", f"PYTHON={other}")
    assert tree.asked() == [f"3.13 {PIP}", f"3.13 {QUIET} ."]
    # And stays, by the environment too, and where none is asked for.
    assert tree.make("setup", f"PYTHON={other}") == WHERE
    done = subprocess.run(
        ["make", "setup"],
        cwd=tree.folder,
        env=tree.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (WHERE, "")
    assert tree.asked() == []


@pytest.mark.parametrize("half", ["a folder", "without pip", "a Python that has gone"])
def test_a_half_made_venv_is_mended(tree: Tree, half: str) -> None:
    venv = tree.folder / ".venv"
    if half == "without pip":
        # As Ctrl-C leaves it.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    else:
        (venv / "bin").mkdir(parents=True)
    if half == "a Python that has gone":
        (venv / "bin/python").symlink_to("/nowhere/python3.12")
    assert tree.make("setup").endswith(WHERE)
    assert [line.split()[-1] for line in tree.asked()] == ["pip>=25.1", "."]
    assert (venv / "bin/restate-shim").is_file()


def test_what_was_interrupted_is_done_again(tree: Tree) -> None:
    tree.make("setup")
    for stamp in (tree.folder / ".venv").glob(".runs-*"):
        stamp.unlink()
    tree.asked()
    tree.make("setup")
    assert tree.asked() == [f"3.12 {PIP}", f"3.12 {QUIET} ."]


def test_a_python_that_is_too_old_is_told(tree: Tree) -> None:
    old = a_python(tree.folder.parent, "3.10")
    done = subprocess.run(
        tree.command("setup", f"PYTHON={old}"),
        cwd=tree.folder,
        env=tree.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("make: Python 3.11 or later is needed; set PYTHON=\n")
    assert not (tree.folder / ".venv").exists()
