"""The shim as an operator runs it: its ledger on a disk, its log in a file."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.accounting import cpu_seconds
from tests.bench.peers import Peer, Proxy
from tests.bench.programs import ROOT, Cores, environment, output, running, until_it_says

_USE: Final = b'"deprecated_route_used"'


@dataclass(frozen=True, slots=True)
class Command:
    """How a tree's shim is called: its words before the subcommand, and where its modules are."""

    words: tuple[str, ...]
    path: str | None = None

    def environment(self) -> dict[str, str]:
        return environment("PYTHONPATH", **({"PYTHONPATH": self.path} if self.path else {}))

    def version(self) -> str:
        said = output(*self.words, "--version", env=self.environment())
        return said.split()[-1] if said else "?"


def this_tree(python: str = sys.executable) -> Command:
    return Command((python, "-m", "shim"), str(ROOT))


def another(said: str) -> tuple[str, Command]:
    """Take ``NAME=COMMAND`` apart."""
    name, equals, command = said.partition("=")
    if not (name.isidentifier() and equals and command.strip()):
        raise ValueError(f"{said!r} is not NAME=COMMAND, for instance old='/tree/.venv/bin/shim'")
    return name, Command(tuple(shlex.split(command)))


def as_peer(name: str, command: Command) -> Peer:
    """Return the shim as one of those to measure."""

    @contextlib.contextmanager
    def start(upstream: int, folder: Path, cores: Cores) -> Iterator[Proxy]:
        with serving(command, f"http://127.0.0.1:{upstream}", folder, cores) as (proxy, _):
            yield proxy

    return Peer(
        name,
        command.version,
        lambda: None,
        start,
        "`serve` with its defaults: every old call is a line on stdout (a file here) and a row in "
        "the ledger (on disk). It adds its `X-Forwarded-…` fields, which the others need not.",
    )


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process until it says that it listens."""

    wall: float
    cpu: float


@contextlib.contextmanager
def serving(
    command: Command, upstream: str, folder: Path, cores: Cores
) -> Iterator[tuple[Proxy, Start]]:
    words = [*command.words, "serve", "--upstream", upstream]
    words += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
    words += ["--ledger", str(folder / "ledger.db")]
    begun = time.perf_counter()
    with running(words, folder, cores=cores.proxy, env=command.environment()) as process:
        lines = until_it_says(process, folder, b'"listening"')
        start = Start(time.perf_counter() - begun, cpu_seconds((process.pid,)))
        events = map(json.loads, lines)
        url = next(event["proxy"] for event in events if event["event"] == "listening")
        yield Proxy(int(url.rstrip("/").rpartition(":")[2]), (process.pid,)), start


def recorded(folder: Path) -> int:
    """Count the uses that a shim has told of."""
    with (folder / "out").open("rb") as out:
        return sum(_USE in line for line in out)


def starts(command: Command, folder: Path, cores: Cores, times: int) -> list[Start]:
    """Start a shim again and again, with a ledger of its own each time."""
    found = []
    for number in range(times):
        own = folder / f"start-{number}"
        own.mkdir()
        with serving(command, "http://127.0.0.1:9", own, cores) as (_, start):
            found.append(start)
    return found


def seconds(command: Command, arguments: Sequence[str], times: int) -> list[float]:
    """Return how long a command that ends by itself takes."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        output(*command.words, *arguments, env=command.environment())
        found.append(time.perf_counter() - begun)
    return found
