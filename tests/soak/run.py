"""One soak: load, faults, and what is left of them when they are over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.request import urlopen

from shim.ledger.reading import read_uses
from tests.bench.accounting import memory
from tests.bench.programs import running, until_it_says
from tests.soak.callers import Caller, Told, crowd
from tests.soak.origin import Fault, Origin
from tests.support.metrics import Samples, of, samples
from tests.support.running import SERVE, environment, open_files

_CALLERS = 12
_FAULT_SECONDS = 1.5
# Idle connections to upstream that are kept, and what SQLite opens now and then.
_SOME_DESCRIPTORS = 24


@dataclass
class Found:
    """What a soak has found; ``wrong`` says what should not be."""

    seconds: float
    told: Told
    faults_made: Counter[str]
    resident: list[float] = field(default_factory=list)
    """MiB, as time goes by."""
    descriptors: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told, memory, descriptors = self.told, self.resident, self.descriptors
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(told.outcomes.items()))
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults_made.items()))
        lines = [
            f"{self.seconds:.0f} s, {told.sent} requests: {outcomes}",
            f"faults: {faults}",
            f"old calls: {len(told.answered)} answered, {len(told.unanswered)} not",
            "MiB of memory: " + _over_time(memory, "{:.1f}"),
            "descriptors: " + _over_time(descriptors, "{:.0f}"),
        ]
        return "\n".join([*lines, *(f"WRONG: {one}" for one in self.wrong)])


def _over_time(values: list[float] | list[int], how: str) -> str:
    shown = [how.format(one) for one in (quarter(values, 1), quarter(values, 3), max(values))]
    return "{} in the second quarter of the time, {} in the last, {} at most".format(*shown)


def quarter(values: list[float] | list[int], number: int) -> float:
    """The median of one quarter of the time."""
    size = max(1, len(values) // 4)
    return statistics.median(values[number * size : (number + 1) * size] or values[-1:])


@dataclass
class Running:
    """The shim's process, and where it is."""

    pid: int
    port: int
    ops: str

    def resident(self) -> float:
        return memory((self.pid,)).resident

    def descriptors(self) -> int:
        return open_files(self.pid)

    async def samples(self) -> Samples:
        def ask() -> str:
            with urlopen(f"{self.ops}/metrics", timeout=10) as answer:
                text: bytes = answer.read()
                return text.decode()

        return samples(await asyncio.to_thread(ask))


@contextlib.contextmanager
def started(upstream: int, folder: Path) -> Iterator[Running]:
    words = [*SERVE, "--upstream", f"http://127.0.0.1:{upstream}"]
    words += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
    words += ["--ledger", str(folder / "ledger.db"), "--upstream-timeout", "1s"]
    words += ["--head-timeout", "1s"]
    every = frozenset(os.sched_getaffinity(0))
    with running(words, folder, cores=every, env=environment()) as process:
        lines = until_it_says(process, folder, b'"listening"')
        where = next(one for one in map(json.loads, lines) if one["event"] == "listening")
        yield Running(process.pid, int(where["proxy"].rpartition(":")[2]), where["ops"])


async def soak(seconds: float, every: float, seed: int, folder: Path) -> Found:
    """Load a shim for so many ``seconds``, with a fault ``every`` so many."""
    random = Random(seed)
    found = Found(seconds, Told(), Counter())
    origin = Origin()
    await origin.listen()
    with started(origin.port, folder) as shim:
        over = asyncio.Event()
        callers = [
            asyncio.create_task(Caller(shim.port, f"c{number}", found.told, random).call(over))
            for number in range(_CALLERS)
        ]
        watch = asyncio.create_task(_watch(shim, found))
        faults = asyncio.create_task(_fail(origin, shim, folder, every, found))
        await asyncio.sleep(seconds)
        faults.cancel()
        await asyncio.gather(faults, return_exceptions=True)
        over.set()
        await asyncio.gather(*callers)
        watch.cancel()
        await _check_quiet(shim, found)
    origin.refuse()
    _check_record(folder, found)
    return found


async def _watch(shim: Running, found: Found) -> None:
    while True:
        found.resident.append(shim.resident())
        found.descriptors.append(shim.descriptors())
        await asyncio.sleep(1)


async def _fail(origin: Origin, shim: Running, folder: Path, every: float, found: Found) -> None:
    async def refuse() -> None:
        origin.refuse()
        try:
            await asyncio.sleep(_FAULT_SECONDS)
        finally:
            await origin.listen()

    async def reset() -> None:
        origin.reset()

    def failing(fault: Fault) -> Callable[[], Awaitable[None]]:
        async def fail() -> None:
            with origin.failing(fault):
                await asyncio.sleep(_FAULT_SECONDS)

        return fail

    async def reload() -> None:
        os.kill(shim.pid, signal.SIGHUP)

    async def lock() -> None:
        with contextlib.closing(sqlite3.connect(folder / "ledger.db", timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(_FAULT_SECONDS)
            other.rollback()

    kinds: dict[str, Callable[[], Awaitable[None]]] = {
        "refusing upstream": refuse,
        "resets by upstream": reset,
        "silent upstream": failing(Fault.SILENT),
        "answers cut short": failing(Fault.CUT_SHORT),
        "closing upstream": failing(Fault.CLOSES),
        "SIGHUP": reload,
        "locked ledger": lock,
        "crowd of idle callers": lambda: crowd(shim.port, 300, b"", _FAULT_SECONDS),
        "crowd of slow callers": lambda: crowd(shim.port, 100, b"GET / HT", _FAULT_SECONDS),
    }
    while True:
        for name, fail in kinds.items():
            await asyncio.sleep(every)
            await fail()
            found.faults_made[name] += 1


async def _check_quiet(shim: Running, found: Found) -> None:
    """Nothing is left of callers that have gone."""
    until = time.monotonic() + 10
    names = ("connections", "in_flight_requests")
    while left := await _left_over(shim, names):
        if time.monotonic() > until:
            found.wrong.append(f"left over: {left}")
            return
        await asyncio.sleep(0.1)
    found.descriptors.append(shim.descriptors())
    if found.descriptors[-1] > found.descriptors[0] + _SOME_DESCRIPTORS:
        found.wrong.append(f"descriptors: {found.descriptors[0]} before, {found.descriptors[-1]}")


async def _left_over(shim: Running, names: Sequence[str]) -> dict[str, float | None]:
    found = await shim.samples()
    return {name: value for name in names if (value := of(found, name)) != 0}


def _check_record(folder: Path, found: Found) -> None:
    """Every old call that was answered is in ledger and log, once; no other is."""
    told = found.told
    if sum(told.outcomes.values()) != told.sent:
        found.wrong.append(f"{told.sent} sent, {sum(told.outcomes.values())} with an outcome")
    if hung := told.outcomes["hung"]:
        found.wrong.append(f"{hung} requests had neither an answer nor an end")
    with (folder / "out").open("rb") as out:
        lines = (json.loads(line) for line in out if b'"deprecated_route_used"' in line)
        logged = Counter(line["invocation_id"] for line in lines)
    kept = Counter(use["invocation_id"] for use in read_uses(folder / "ledger.db"))
    for where, counts in (("ledger", kept), ("log", logged)):
        twice = sum(count > 1 for count in counts.values())
        missing = len(told.answered - counts.keys())
        unknown = len(counts.keys() - told.answered - told.unanswered)
        if twice or missing or unknown:
            found.wrong.append(f"{where}: {missing} missing, {twice} twice, {unknown} unknown")
