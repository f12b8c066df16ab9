"""What the ledger costs: CPU and bytes per use, and the time that evidence takes at scale.

``python -m tests.bench.ledger [USES]`` (default 10 million); prints, judges nothing.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uuid_utils
import uvloop

from shim.ledger.ledger import Ledger
from shim.ledger.reading import read_evidence
from shim.ledger.recent import read_recent
from shim.ledger.tables import schema
from tests.support.ledger_records import a_use, append, now

RATE = 5_000
SECONDS = 10
CALLERS = 500
DAYS = 90


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> float:
    """MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def feed(ledger: Ledger | None, seconds: float) -> tuple[float, list[float]]:
    """Append at :data:`RATE`; return CPU per use in µs, and how long each append took in ms."""
    waits: list[float] = []
    running: set[asyncio.Task[None]] = set()
    ready = [
        a_use(f"caller-{n % CALLERS}", now(), id=str(uuid_utils.uuid7()))
        for n in range(int(RATE * seconds))
    ]

    async def one(number: int) -> None:
        started = time.perf_counter()
        if ledger is not None:
            await append(ledger, ready[number])
        waits.append((time.perf_counter() - started) * 1000)

    before, begun, number = cpu(), time.perf_counter(), 0
    while number < len(ready):
        due = min(len(ready), int((time.perf_counter() - begun) * RATE))
        for which in range(number, due):
            task = asyncio.ensure_future(one(which))
            running.add(task)
            task.add_done_callback(running.discard)
        number = due
        await asyncio.sleep(0.001)
    if running:
        await asyncio.wait(running)
    return (cpu() - before) / len(ready) * 1e6, sorted(waits)


async def recording(folder: Path) -> None:
    idle, _ = await feed(None, SECONDS)
    path = folder / "rate.db"
    ledger = Ledger(path, instance="node-1", clock=now, on_change=print)
    ledger.start()
    await feed(ledger, 1)
    memory = resident()
    busy, waits = await feed(ledger, SECONDS)
    state = ledger.state()
    await ledger.close()
    print(f"recording {RATE}/s for {SECONDS} s: {busy - idle:.1f} µs CPU per use")
    print(f"  (feeding alone {idle:.1f} µs; all written: {state.written}, lost {state.dropped})")
    middle, late = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(f"  append: median {middle:.2f} ms, 99 % {late:.2f} ms, longest {waits[-1]:.1f} ms")
    print(f"  resident: {memory:.0f} MiB after 1 s, {resident():.0f} MiB after the run")
    print(f"  {path.stat().st_size / state.written:.0f} bytes per use, sums included")


def rows(count: int, start: int) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(1)
    step = DAYS * schema.DAY / count
    for number in range(count):
        # A caller mostly does one thing with one answer.
        caller = dice.randrange(CALLERS) if number % 100_000 else CALLERS
        mode = ("cancel", "kill", "purge")[caller % 3 if dice.random() < 0.9 else 0]
        status = 200 if dice.random() < 0.9 else dice.choice((404, 409))
        invocation = f"inv_1{dice.getrandbits(190):038x}"[:43]
        yield (
            *(str(uuid.UUID(int=number << 64 | dice.getrandbits(64))), start + int(number * step)),
            *(f"caller-{caller}", "user-agent", "restate-cli/1.4.0 linux-x86_64", "10.0.0.7"),
            *(None, None, f"/v3/invocations/{invocation}?mode={mode}", "v3", invocation, mode),
            *(mode, "translate", "translated", f"PATCH /v3/invocations/{invocation}/{mode}"),
            *(status, 202, status != 200, 1.234, None, "node-1", "0.1.0"),
        )


async def make(path: Path) -> None:
    ledger = Ledger(path, instance="node-1", clock=now, on_change=print)
    ledger.start()
    await ledger.close()


def scale(folder: Path, count: int) -> None:
    path = folder / "scale.db"
    asyncio.run(make(path))
    start = schema.to_ms(datetime.now(UTC)) - DAYS * schema.DAY
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-400000; BEGIN")
    names = list(a_use().as_dict())
    fields = ", ".join(f'"{field}"' for field in names)
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO uses ({fields}) VALUES ({marks})", rows(count, start))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    singles = path.stat().st_size
    key = "caller, 'use', instance, caller_source, mode, decision, upstream_status, masked"
    tally = "count(*), min(timestamp), max(timestamp)"
    for table, period in (
        ("hours", f"timestamp / {schema.HOUR}, "),
        ("days", f"timestamp / {schema.DAY}, "),
        ("totals", ""),
    ):
        numbers = ", ".join(str(n) for n in range(1, 9 + bool(period)) if n != 2 + bool(period))
        connection.execute(
            f"INSERT INTO {table} SELECT {period}{key}, {tally} FROM uses GROUP BY {numbers}"
        )
        print(
            f"  {table}: {connection.execute(f'SELECT count(*) FROM {table}').fetchone()[0]} rows"
        )
    connection.execute(
        "INSERT INTO callers SELECT caller, max(timestamp), user_agent, replacement, 1 "
        "FROM uses GROUP BY caller"
    )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = path.stat().st_size
    print(f"{count} uses of {CALLERS} callers in {DAYS} days: {size / 2**20:.0f} MiB")
    print(
        f"  {singles / count:.0f} bytes per single use, {(size - singles) / 2**20:.0f} MiB of sums"
    )
    end = datetime.now(UTC)
    for name, caller in (("any caller", None), ("a rare one", f"caller-{CALLERS}")):
        started = time.perf_counter()
        recent = read_recent(path, 50, caller=caller)
        took = time.perf_counter() - started
        print(f"  the latest {len(recent)} uses of {name}: {took:.3f} s")
    for name, since in (
        ("evidence of everything", None),
        ("evidence since 30 days", end - timedelta(days=30)),
        ("evidence since 89 days", end - timedelta(days=89)),
    ):
        for turn in ("first", "again"):
            started = time.perf_counter()
            evidence = read_evidence(path, since)
            took = time.perf_counter() - started
            counted = sum(one.count for one in evidence.sums)
            print(f"  {name}, {turn}: {took:.3f} s, {counted} uses, {len(evidence.days)} days")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(recording(Path(name)))
        scale(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
