"""The walk-through of ``restate-shim demo``: start everything, make old calls, show what comes.

It checks itself: the exit code is 0 only if every old caller got what the old route answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from shim.demo import callers
from shim.demo.callers import Caller
from shim.demo.http import call
from shim.demo.node import CLI, FOLDER, SERVER, InstallError, installed, program, size
from shim.demo.restate import Restate, StartError, end, restate_server
from shim.ledger import events

SERVER_VERSION: Final = "1.7.12"
CLI_VERSION: Final = "1.7.12"
_PACKAGES: Final = ((SERVER, SERVER_VERSION), (CLI, CLI_VERSION))
_DOWNLOADED: Final = 160
_MEGABYTES: Final = 453
_BAD_MODE: Final = 400
_ACCEPTED: Final = 202
_UNKNOWN: Final = "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
_WAIT_SECONDS: Final = 15.0
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Shim:
    """The shim that the story runs: where it listens, and the events it has logged."""

    proxy: str = ""
    ops: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def use_of(self, invocation_id: str, user_agent: str) -> dict[str, Any] | None:
        """Return the latest use of one invocation by one caller."""
        wanted = (events.USE, invocation_id, user_agent)
        names = ("event", "invocation_id", "user_agent")
        uses = (e for e in reversed(self.events) if tuple(map(e.get, names)) == wanted)
        return next(uses, None)


@dataclass(frozen=True, slots=True)
class Scene:
    """One old call: who makes it, to an invocation in which state, what the old route answers."""

    caller: Caller
    state: str
    invocation_id: str
    answer: int = _ACCEPTED


def _stop(number: int, _: FrameType | None) -> NoReturn:
    """Leave every ``with``, which ends what it has started; once, however often one is asked."""
    for one in _STOPS:
        signal.signal(one, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    # As shells have it.
    sys.exit(128 + number)


def main(*, once: bool, console: Console | None = None) -> int:
    """Tell the story; with ``once``, end after the report instead of waiting for Ctrl-C."""
    out = console or Console()
    for number in _STOPS:
        signal.signal(number, _stop)
    try:
        with tempfile.TemporaryDirectory(prefix="restate-shim-demo-") as folder:
            return _tell(out, Path(folder), once=once)
    except (InstallError, StartError) as error:
        out.print(f"[red]The demo cannot go on:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        # However far it had got: who ends it has seen enough.
        out.print()
        return 0


def _tell(out: Console, folder: Path, *, once: bool) -> int:
    server, cli = _programs(out)
    ledger = folder / "restate-shim.db"
    data = folder / "restate"
    data.mkdir()
    status = out.status("Starting Restate and a service")
    status.start()
    with restate_server(server, data) as restate:
        status.update("Starting the shim")
        with _running_shim(restate.admin, ledger) as shim:
            status.update("Bringing invocations into every state")
            scenes = _set_the_scenes(restate)
            status.stop()
            out.print(f"[green]✓[/] Restate {SERVER_VERSION}  admin API at {restate.admin}")
            out.print(f"[green]✓[/] the shim before it    {shim.proxy}")
            _use_the_cli(out, cli, restate, shim, folder)
            failures = _play(out, restate, shim, scenes)
            failures += _bulk(out, restate, shim)
            _show_log(out, shim)
            show_report(out, ledger)
            if failures:
                out.print(f"[red]{failures} callers did not get what the old route answers.[/]")
            else:
                out.print("[green]Every old caller got what the old route answers.[/]")
            if not once:
                out.print(f"\nThe usage page: [bold]{shim.ops}/usage[/]   (Ctrl-C ends the demo)")
                while True:
                    time.sleep(3600)
    return 1 if failures else 0


class _OnDisk(ProgressColumn):
    """How much of what is installed is there; npm itself shows no more than that it works."""

    def render(self, task: Task) -> Text:
        del task
        total = sum(size(package, version) for package, version in _PACKAGES)
        return Text(f"{total // 10**6} of {_MEGABYTES} MB")


def _programs(out: Console) -> list[Path]:
    if all(installed(package, version) for package, version in _PACKAGES):
        return [program(package, version) for package, version in _PACKAGES]
    out.print(
        f"Installing restate-server {SERVER_VERSION} and the restate CLI {CLI_VERSION} from npm "
        f"into {FOLDER}/, once: {_DOWNLOADED} MB to download, {_MEGABYTES} MB on the disk"
    )
    with Progress(SpinnerColumn(), _OnDisk(), console=out, transient=True) as progress:
        progress.add_task("npm")
        return [program(package, version) for package, version in _PACKAGES]


@contextmanager
def _running_shim(upstream: str, ledger: Path) -> Iterator[Shim]:
    command = [sys.executable, "-m", "shim", "serve", "--upstream", upstream]
    command += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ledger", str(ledger)]
    popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    shim = Shim()
    ready = threading.Event()

    def read() -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            event = json.loads(line)
            if event["event"] == events.LISTENING:
                shim.proxy, shim.ops = event["proxy"], event["ops"]
                ready.set()
            shim.events.append(event)

    threading.Thread(target=read, daemon=True).start()
    try:
        if not ready.wait(_WAIT_SECONDS):
            raise StartError("the shim did not start; run restate-shim serve to see why")
        yield shim
    finally:
        end(popen, _WAIT_SECONDS)


def _set_the_scenes(restate: Restate) -> list[Scene]:
    running = [restate.send("Orders/work") for _ in range(3)]
    sleeping = restate.send("Orders/nap")
    done = [restate.send("Orders/quick") for _ in range(2)]
    scheduled = restate.send("Orders/quick", delay="1h")
    holder = restate.send("Cart/anna/hold")
    restate.wait([*running, holder], lambda status: status == "running")
    waiting = restate.send("Cart/anna/hold")
    restate.wait([sleeping], lambda status: status == "suspended")
    restate.wait(done, lambda status: status == "completed success")
    return [
        Scene(callers.CURL, "running", running[0]),
        Scene(callers.CLI_KILL, "running", running[1]),
        Scene(callers.JAVA, "suspended", sleeping),
        Scene(callers.CLI_CANCEL, "scheduled", scheduled),
        Scene(callers.GO, "in an inbox", waiting),
        Scene(callers.PYTHON, "completed", done[0]),
        Scene(callers.CLI_KILL, "completed", done[1]),
        Scene(callers.PYTHON, "running", running[2]),
        Scene(callers.CURL, "unknown", _UNKNOWN),
        Scene(callers.TYPO, "running", running[2], answer=_BAD_MODE),
    ]


def _use_the_cli(out: Console, cli: Path, restate: Restate, shim: Shim, folder: Path) -> None:
    """Let the real command line work through the shim, which it must not notice."""
    out.print(Rule("The restate CLI, through the shim", align="left"))
    cancelled, killed, purged = (
        restate.send("Orders/work"),
        restate.send("Orders/work"),
        restate.send("Orders/quick"),
    )
    restate.wait([cancelled, killed], lambda status: status == "running")
    restate.wait([purged], lambda status: status == "completed success")
    environ = {**os.environ, "RESTATE_ADMIN_URL": shim.proxy, "HOME": str(folder), "NO_COLOR": "1"}
    for words in (
        ["deployments", "list"],
        ["invocations", "list"],
        ["sql", "select id, status from sys_invocation limit 3"],
        ["invocations", "cancel", cancelled, "-y"],
        ["invocations", "kill", killed, "-y"],
        ["invocations", "purge", purged, "-y"],
    ):
        done = subprocess.run(
            [str(cli), *words], env=environ, capture_output=True, check=False, timeout=60
        )
        sign = "[green]✓[/]" if done.returncode == 0 else f"[red]exit {done.returncode}[/]"
        out.print(f"{sign} restate {escape(' '.join(words))}", highlight=False)


def _play(out: Console, restate: Restate, shim: Shim, scenes: list[Scene]) -> int:
    out.print(Rule("Old-style callers, through the shim", align="left"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("Caller", "Sent", "Got", "Restate was asked, and said", "Invocation"):
        table.add_column(heading)
    failures = 0
    for scene in scenes:
        agent = scene.caller.user_agent
        target = scene.caller.target(scene.invocation_id)
        got = call(shim.proxy, "DELETE", target, headers={"User-Agent": agent}).status
        failures += got != scene.answer
        use = _await_use(shim, scene.invocation_id, agent)
        effect = _settle(restate, scene)
        mark = "[green]" if got == scene.answer else "[red]"
        table.add_row(
            scene.caller.name,
            escape(f"DELETE {_short(target)}"),
            f"{mark}{got}[/]",
            escape(_asked(use)),
            f"{scene.state} → {effect}" if effect != scene.state else effect,
        )
    out.print(table)
    out.print("[dim]masked: the new endpoint refuses this; the old route never told.[/]")
    return failures


def _asked(use: dict[str, Any] | None) -> str:
    if use is None:
        return "nothing was recorded"
    asked = _short(use["replacement"]) if use["decision"] == "translated" else "the old call"
    return f"{asked} {use['upstream_status']}" + (" (masked)" if use["masked"] else "")


def _bulk(out: Console, restate: Restate, shim: Shim) -> int:
    """Run the loop of the CLI before 1.5: it stops at the first answer that is no success."""
    ids = [restate.send("Orders/work") for _ in range(4)]
    restate.wait(ids, lambda status: status == "running")
    ids.insert(1, _UNKNOWN)
    answered = 0
    for one in ids:
        target = callers.CLI_KILL.target(one)
        headers = {"User-Agent": callers.CLI_KILL.user_agent}
        if call(shim.proxy, "DELETE", target, headers=headers).status != _ACCEPTED:
            break
        answered += 1
    restate.wait([ids[0], *ids[2:]], _ended)
    out.print(
        f"A bulk kill by the CLI 1.4, one of them gone: {answered} of {len(ids)} went through."
    )
    return len(ids) - answered


def _ended(status: str | None) -> bool:
    return status is None or status.startswith("completed")


def _settle(restate: Restate, scene: Scene) -> str:
    """Return the state of the invocation once it has stopped changing."""
    before = None
    for _ in range(30):
        now = restate.states(scene.invocation_id).get(scene.invocation_id, "gone")
        if now == before:
            break
        before = now
        time.sleep(0.15)
    return "unknown" if scene.state == "unknown" else str(before)


def _await_use(shim: Shim, invocation_id: str, user_agent: str) -> dict[str, Any] | None:
    until = time.monotonic() + 2
    while time.monotonic() < until:
        if use := shim.use_of(invocation_id, user_agent):
            return use
        time.sleep(0.01)
    return None


def _show_log(out: Console, shim: Shim) -> None:
    out.print(Rule("The use log (one JSON line each; three of them, some fields)", align="left"))
    shown = ("event", "caller", "target", "decision", "replacement", "upstream_status", "status")
    uses = [event for event in shim.events if event["event"] == events.USE]
    for use in uses[:3]:
        out.print_json(json.dumps({name: use[name] for name in shown}), indent=None)


def show_report(out: Console, ledger: Path) -> None:
    """Show what ``restate-shim report`` prints, as wide as ``out`` is."""
    out.print(Rule(f"restate-shim report --ledger {ledger}", align="left"))
    command = [sys.executable, "-m", "shim", "report", "--ledger", str(ledger)]
    environ = {**os.environ, "COLUMNS": str(out.width)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    out.print(escape(done.stdout or done.stderr), highlight=False, soft_wrap=True)


def _short(text: str) -> str:
    """Shorten the invocation ids of ``text``: ``inv_1gdJ…11Hbz``."""
    words = []
    for word in text.split("/"):
        name, mark, query = word.partition("?")
        if name.startswith("inv_"):
            name = f"{name[:8]}…{name[-4:]}"
        words.append(name + mark + query)
    return "/".join(words)
