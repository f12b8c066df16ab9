"""Going round: each scenario with each proxy in turn, and then again."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shim.demo.node import SERVER, program
from shim.demo.restate import restate_server
from tests.bench import scenarios
from tests.bench.accounting import cpu_seconds, machine, memory, rest
from tests.bench.load import h2load, once, one_after_another, stream, wrk
from tests.bench.origin import MIB, origin
from tests.bench.peers import Peer, Proxy
from tests.bench.programs import (
    ROOT,
    Cores,
    Failed,
    environment,
    on,
    output,
    said,
)
from tests.bench.results import Measured, Recorded, Resident, Results, Sample, Spread
from tests.bench.scenarios import Call, Calls, Stream
from tests.bench.shims import Command, as_peer, recorded, seconds, serving, starts

DIRECT: Final = "direct"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and for how long."""

    shims: dict[str, Command]
    peers: Sequence[Peer]
    scenarios: Sequence[Calls | Stream]
    rounds: int
    seconds: int
    stream_mib: int
    times: int  # calls one after another, of each kind; none for 0
    starts: int  # of a shim; none for 0
    quick: bool
    real: str | None = None  # a version of restate-server


def run(plan: Plan, missing: dict[str, str], folder: Path) -> Results:
    cores = Cores.of_this_machine()
    shims = [as_peer(name, command) for name, command in plan.shims.items()]
    every = [*shims, *plan.peers]
    results = Results(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        quick=plan.quick,
        rounds=plan.rounds,
        seconds=plan.seconds,
        stream_mib=plan.stream_mib,
        machine=machine(),
        cores=str(cores),
        versions={peer.name: peer.version() for peer in every}
        | {
            "wrk": output("wrk", "-v").split()[1].rpartition("/")[2],
            "Python": sys.version.split()[0],
        },
        missing=missing,
        why={peer.name: peer.why for peer in every},
    )
    # First, since it may have to be fetched: not at the end of a long run.
    server = program(SERVER, plan.real) if plan.real else None
    with on(cores.others):
        _the_shim_itself(plan, folder, cores, results)
        _Rounds(plan, folder, cores, results).go(every)
        if server:
            _real(plan, server, folder, cores, results)
    if holes := results.holes([peer.name for peer in every]):
        raise Failed(f"no figure: {', '.join(holes)}")
    return results


def _folder(folder: Path, name: str) -> Path:
    own = folder / name
    own.mkdir()
    return own


class _Rounds:
    """One origin, all proxies before it at once, and one of them busy at a time."""

    def __init__(self, plan: Plan, folder: Path, cores: Cores, results: Results) -> None:
        self._plan = plan
        self._folder = folder
        self._cores = cores
        self._results = results
        self._proxies: dict[str, Proxy] = {}
        # Old calls answered, by shim.
        self._answered = dict.fromkeys(plan.shims, 0)

    def go(self, peers: Sequence[Peer]) -> None:
        plan, results = self._plan, self._results
        if not (plan.scenarios or plan.times):
            return
        with ExitStack() as stack:
            upstream = stack.enter_context(origin(_folder(self._folder, "origin"), self._cores))
            self._proxies[DIRECT] = Proxy(upstream, ())
            for peer in peers:
                own = _folder(self._folder, peer.name)
                self._proxies[peer.name] = stack.enter_context(
                    peer.start(upstream, own, self._cores)
                )
            started = {peer.name: memory(self._proxies[peer.name].pids) for peer in peers}
            self._check(upstream)
            for number in range(plan.rounds):
                for which in plan.scenarios:
                    self._scenario(which, number)
            if plan.times:
                _tell("one after another")
                self._one_after_another()
            for peer in peers:
                now = memory(self._proxies[peer.name].pids)
                before = started[peer.name].resident
                results.memory[peer.name] = Resident(before, now.resident, now.peak)
            for name, answered in self._answered.items():
                if answered:
                    lines = _lines(self._folder / name, answered)
                    results.recorded[name] = Recorded(answered, lines)

    def _check(self, upstream: int) -> None:
        """Each proxy answers as it should, and has made of the old call what the shim makes."""
        calls = {which.call for which in self._plan.scenarios if isinstance(which, Calls)}
        for name, proxy in self._proxies.items():
            for call in calls:
                found = once(proxy.port, call)
                if found != (call.status, call.answer):
                    raise Failed(f"{name} answers {call.method} {call.target} with {found}")
                if call.method == "DELETE" and name != DIRECT:
                    self._count(name, 1)
                    _, last = once(upstream, Call("GET", "/last", 200))
                    if last != f'"PATCH {scenarios.NEW_CALL}"'.encode():
                        raise Failed(f"{name} has made {last!r} of the old call")

    def _count(self, name: str, answered: int) -> None:
        if name in self._answered:
            self._answered[name] += answered

    def _scenario(self, which: Calls | Stream, number: int) -> None:
        _tell(f"round {number + 1} of {self._plan.rounds}: {which.name}")
        if number == 0:
            clients = which.clients if isinstance(which, Calls) else 1
            kind = "h2" if _over_2(which) else "calls" if isinstance(which, Calls) else "stream"
            self._results.scenarios.append(Measured(which.name, which.title, kind, clients))
        measured = next(one for one in self._results.scenarios if one.name == which.name)
        names = [name for name in self._proxies if name != DIRECT or _has_direct(which)]
        if _over_2(which):
            names = list(self._plan.shims)
        # Nobody is always the first, when caches and clocks are what another scenario left.
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            proxy = self._proxies[name]
            try:
                if isinstance(which, Calls):
                    sample = self._calls(name, proxy, which)
                else:
                    sample = self._stream(proxy, which, number)
            except (Failed, OSError) as error:
                last = said(self._folder / ("origin" if name == DIRECT else name))
                raise Failed(f"{name}, {which.name}: {error}\n{last}") from error
            measured.samples.setdefault(name, []).append(sample)

    def _calls(self, name: str, proxy: Proxy, which: Calls) -> Sample:
        """From when the connections are there until the proxy rests again.

        What a connection costs is not what a request costs; what a proxy puts off, it does cost.
        """
        plan = self._plan
        rest(proxy.pids)
        ask = h2load if which.streams else wrk
        with ask(proxy.port, which, plan.seconds, self._folder) as end:
            time.sleep(min(1.0, 0.3 * plan.seconds))
            requests, begun = self._requests(), time.monotonic()
            before = cpu_seconds(proxy.pids)
            load = end()
            busy = (cpu_seconds(proxy.pids) - before) / (time.monotonic() - begun)
        rest(proxy.pids)
        used = cpu_seconds(proxy.pids) - before
        if not (requests := self._requests() - requests):
            raise Failed("the origin saw no request")
        if which.call.method == "DELETE":
            self._count(name, load.requests)
        return Sample(
            rate=load.requests / load.seconds,
            cpu=used / requests * 1e6 if proxy.pids else None,
            busy=busy if proxy.pids else None,
            p50_ms=load.p50_ms,
            p99_ms=load.p99_ms,
        )

    def _requests(self) -> int:
        """Ask the origin how many requests it has seen."""
        _, count = once(self._proxies[DIRECT].port, Call("GET", "/count", 200))
        return int(count)

    def _stream(self, proxy: Proxy, which: Stream, number: int) -> Sample:
        size = self._plan.stream_mib * MIB
        if number == 0:
            stream(proxy.port, which, 16 * MIB)
        rest(proxy.pids)
        before = cpu_seconds(proxy.pids)
        took = stream(proxy.port, which, size)
        used = cpu_seconds(proxy.pids) - before
        return Sample(
            rate=self._plan.stream_mib / took,
            cpu=used * 1000 * 1024 / self._plan.stream_mib if proxy.pids else None,
            busy=used / took if proxy.pids else None,
        )

    def _one_after_another(self) -> None:
        old, new = (
            Call("DELETE", scenarios.OLD_CALL, 202),
            Call("PATCH", scenarios.NEW_CALL, 200),
        )
        calls = {
            f"{call.method} {name}": (proxy.port, call)
            for name, proxy in self._proxies.items()
            for call in (new, old)
        }
        self._results.one_after_another = one_after_another(calls, self._plan.times)
        for name in self._answered:
            self._count(name, self._plan.times)


def _over_2(which: Calls | Stream) -> bool:
    return isinstance(which, Calls) and which.streams > 0


def _has_direct(which: Calls | Stream) -> bool:
    return which not in scenarios.CLIENTS


def _the_shim_itself(plan: Plan, folder: Path, cores: Cores, results: Results) -> None:
    """Rows on which no load bears: they were tests once, and tests may not judge by the clock."""
    if not plan.starts:
        return
    _tell("start, help, counting")
    for name, command in plan.shims.items():
        own = _folder(folder, f"starts-{name}")
        found = starts(command, own, cores, plan.starts)
        results.shim[f"{name}: start until listening, ms"] = Spread.of(
            one.wall * 1e3 for one in found
        )
        results.shim[f"{name}: CPU until listening, ms"] = Spread.of(one.cpu * 1e3 for one in found)
        results.shim[f"{name}: report --help, ms"] = Spread.of(
            took * 1e3 for took in seconds(command, ("report", "--help"), plan.starts)
        )
    if "shim" in plan.shims:
        # In the shim's own Python; another tree need not have this module.
        python = plan.shims["shim"].words[0]
        env = environment(PYTHONPATH=str(ROOT))
        with on(cores.proxy):
            found_us = [
                output(python, "-m", "tests.bench.counting", env=env) for _ in range(plan.starts)
            ]
        results.shim["shim: metrics, one request counted, µs"] = Spread.of(map(float, found_us))


def _real(plan: Plan, server: Path, folder: Path, cores: Cores, results: Results) -> None:
    """Kills of an id that nobody has, of a real server."""
    _tell("a real Restate")
    results.versions["restate-server"] = plan.real or ""
    old = Call("DELETE", scenarios.OLD_CALL, 202)
    new = Call("PATCH", scenarios.NEW_CALL, 404)
    with ExitStack() as stack:
        restate = stack.enter_context(restate_server(server, _folder(folder, "restate")))
        port = int(restate.admin.rpartition(":")[2])
        calls = {f"{call.method} {DIRECT}": (port, call) for call in (new, old)}
        for name, command in plan.shims.items():
            own = _folder(folder, f"real-{name}")
            proxy, _ = stack.enter_context(serving(command, restate.admin, own, cores))
            calls |= {f"{call.method} {name}": (proxy.port, call) for call in (new, old)}
        results.real = one_after_another(calls, plan.times or 100)


def _lines(folder: Path, wanted: int) -> int:
    """Count the lines of old calls; the last ones may be on their way for a moment."""
    until = time.monotonic() + 5
    while (found := recorded(folder)) < wanted and time.monotonic() < until:
        time.sleep(0.2)
    return found


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
