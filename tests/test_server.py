"""The planes put together: what goes on as long as the shim does."""

from __future__ import annotations

import asyncio

from structlog.testing import CapturingLogger

from shim.server import watching


async def fails() -> None:
    raise IndexError("no such thing")


# A watch that failed just stopped: no heartbeat any more, or no probe, and nobody knew.
async def test_a_watch_that_fails_is_told() -> None:
    told = CapturingLogger()
    async with watching(told, failing=fails(), waiting=asyncio.sleep(60)):
        await asyncio.sleep(0.01)
    (call,) = told.calls
    assert (call.method_name, call.args) == ("error", ("watch_failed",))
    assert call.kwargs["watch"] == "failing"
    assert isinstance(call.kwargs["exc_info"], IndexError)
