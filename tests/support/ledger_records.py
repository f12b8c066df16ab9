"""Records for the tests of ledger and fleet; run as a program it is a shim's writer under load."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shim.ledger.ledger import Ledger, LedgerState
from shim.ledger.records import Decision, NearMiss, Record, ReplacementCall, Use, encode
from tests.support.waiting import until

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def a_use(caller: str = "ci", timestamp: datetime = NOON, **other: Any) -> Use:
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "caller_source": "user-agent",
        "user_agent": "curl/8.5.0",
        "client_address": "10.0.0.7",
        "request_id": None,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "target": "/v3/invocations/inv_1ghKXT6Vzj7P2dGoLuv1cUVg7PpZDn5WOV?mode=kill",
        "api_version": "v3",
        "invocation_id": "inv_1ghKXT6Vzj7P2dGoLuv1cUVg7PpZDn5WOV",
        "mode": "kill",
        "mode_given": "kill",
        "phase": "translate",
        "decision": Decision.TRANSLATED,
        "replacement": "PATCH /v3/invocations/inv_1ghKXT6Vzj7P2dGoLuv1cUVg7PpZDn5WOV/kill",
        "upstream_status": 200,
        "status": 202,
        "masked": False,
        "duration_ms": 1.25,
        "error": None,
        "instance": "node-1",
        "version": "0.1.0",
    }
    return Use(caller=caller, timestamp=timestamp, **(values | other))


def a_near_miss(caller: str = "ci", timestamp: datetime = NOON, **other: Any) -> NearMiss:
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "caller_source": "user-agent",
        "user_agent": "curl/8.5.0",
        "client_address": "10.0.0.7",
        "request_id": None,
        "trace_id": None,
        "method": "POST",
        "target": "/invocations/inv_1/kill",
        "kind": "wrong_method",
        "hint": "use PATCH",
        "status": 405,
        "instance": "node-1",
        "version": "0.1.0",
    }
    return NearMiss(caller=caller, timestamp=timestamp, **(values | other))


def a_call(caller: str = "ci", timestamp: datetime = NOON, **other: Any) -> ReplacementCall:
    values: dict[str, Any] = {
        "caller_source": "user-agent",
        "mode": "kill",
        "status": 200,
        "reached": True,
        "instance": "node-1",
    }
    return ReplacementCall(caller=caller, timestamp=timestamp, **(values | other))


class Changes(list[LedgerState]):
    """Collects what ``on_change`` is told."""

    def __call__(self, state: LedgerState) -> None:
        self.append(state)


@asynccontextmanager
async def running(
    path: Path | None,
    *,
    clock: Callable[[], datetime] = now,
    on_change: Callable[[LedgerState], None] | None = None,
    **other: Any,
) -> AsyncIterator[Ledger]:
    # What stops or leaps is the time itself, unless a test has it otherwise.
    other.setdefault("monotonic", lambda: clock().timestamp())
    ledger = Ledger(
        path,
        instance=other.pop("instance", "node-1"),
        clock=clock,
        on_change=Changes() if on_change is None else on_change,
        **other,
    )
    ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


async def append(ledger: Ledger, record: Record) -> bool:
    return await ledger.append(record, encode(record))


async def kept(ledger: Ledger) -> None:
    """Wait until all that was told is in the ledger itself."""
    await until(lambda: ledger.state().queued == 0)


async def write_for_ever(path: Path) -> None:
    """Append from many tasks at once; print each id only when the ledger has acknowledged it."""

    async def one(ledger: Ledger, number: int) -> None:
        while True:
            use = a_use(f"caller-{number}", now())
            if await append(ledger, use):
                os.write(1, f"{use.id}\n".encode())

    async with running(path) as ledger:
        await asyncio.gather(*(one(ledger, number) for number in range(16)))


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1])))
