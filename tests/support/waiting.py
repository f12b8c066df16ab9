"""Waiting for what happens in another thread or process, which tells nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    within: float = 5.0,
    *,
    every: float = 0.02,
    said: Callable[[], object] = lambda: "it did not happen in time",
) -> T:
    """What `condition` returns, once that is true; `said` tells why it never was."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, said()
        time.sleep(every)
    return found


async def until(
    condition: Callable[[], object],
    within: float = 15.0,
    *,
    said: Callable[[], object] = lambda: "it did not happen in time",
) -> None:
    """The same in a loop that goes on meanwhile."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, said()
        await asyncio.sleep(0.02)


def settled(value: Callable[[], T], lasting: float = 0.3, within: float = 10.0) -> T:
    """What `value` returns, once that has not changed for so many seconds."""
    end = time.monotonic() + within
    before = value()
    while True:
        time.sleep(lasting)
        now = value()
        if now == before:
            return now
        assert time.monotonic() < end, f"it still changes: {before!r}, {now!r}"
        before = now
