"""The demo as it is watched: how wide it is, and how it ends."""

from __future__ import annotations

import io
import signal
import sys
import time
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from shim.demo.node import CLI, SERVER
from shim.demo.story import CLI_VERSION, SERVER_VERSION, show_report
from tests.commands.making import Tree
from tests.commands.terminal import watching
from tests.support.ledger_records import a_use, append, kept, now, running
from tests.support.paths import ROOT
from tests.support.real import installed
from tests.support.running import PROGRAM, environment
from tests.support.tools import tool
from tests.support.waiting import wait_until


@pytest.fixture
def packages() -> None:
    """What the demo gets from npm, in this checkout."""
    installed(SERVER, SERVER_VERSION)
    installed(CLI, CLI_VERSION)


@pytest.mark.parametrize("width", [60, 80, 140])
async def test_its_report_fits_the_terminal(width: int, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    async with running(ledger) as writing:
        for agent in "restate-cli/1.4.0 linux-x86_64", "python-requests/2.32.3":
            assert await append(
                writing,
                a_use(timestamp=now(), caller=agent, user_agent=agent, caller_source="user-agent"),
            )
        await kept(writing)
    said = io.StringIO()
    show_report(Console(file=said, width=width, force_terminal=False), ledger)
    lines = said.getvalue().splitlines()
    assert any("╭" in line for line in lines)
    # A call to make is left whole, so that it can be copied.
    long = [one for one in lines if cell_len(one) > width and "curl -X PATCH" not in one]
    assert long == []
    assert max(cell_len(one) for one in lines if "─╮" in one) > width - 5


@pytest.mark.real
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("packages")
def test_ctrl_c_ends_it_without_an_error_and_with_nothing_left(tmp_path: Path) -> None:
    tool("make", "Debian make")
    tree = Tree(tmp_path)
    with watching(tree.command("demo"), tree.folder, tree.environment()) as demo:
        demo.await_text("(Ctrl-C ends the demo)", 120)
        assert {"restate-server", "make"} <= set(demo.left())
        demo.press_ctrl_c()
        # Who made it was interrupted, and says nothing of it.
        assert demo.wait() in (0, -signal.SIGINT)
    after = demo.said.partition("(Ctrl-C ends the demo)")[2]
    assert after.replace("^C", "").strip() == ""
    assert "Every old caller got what the old route answers." in " ".join(demo.said.split())


@pytest.mark.real
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("packages")
def test_sigterm_ends_all_that_it_has_started() -> None:
    with watching([*PROGRAM, "demo"], ROOT, environment()) as demo:
        demo.await_text("the shim before it", 60)
        assert "restate-server" in demo.left()
        demo.process.terminate()
        # Who asks twice leaves nothing behind either.
        time.sleep(0.05)
        demo.process.terminate()
        assert demo.wait() == 128 + signal.SIGTERM
    assert "Traceback" not in demo.said


def test_one_that_is_ended_while_it_downloads_leaves_no_half_of_a_program(tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text(
        f"#!{sys.executable}\nimport pathlib, sys, time\n"
        "home = pathlib.Path(sys.argv[sys.argv.index('--prefix') + 1])\n"
        "part = home / 'node_modules/@restatedev/restate-server-linux-x64/bin/restate-server'\n"
        "part.parent.mkdir(parents=True)\n"
        "part.write_bytes(bytes(7_000_000))\n"
        "time.sleep(60)\n"
    )
    npm.chmod(0o755)
    env = environment(PATH=str(tmp_path))
    with watching([*PROGRAM, "demo"], tmp_path, env) as demo:
        demo.await_text("160 MB to download, 453 MB on the disk", 20)
        wait_until(lambda: list(tmp_path.glob(".demo/*/node_modules/*/*/bin/*")), 10)
        demo.process.send_signal(signal.SIGHUP)
        assert demo.wait() == 128 + signal.SIGHUP
    assert not list(tmp_path.glob(".demo/restate-server-*[0-9]/node_modules"))
