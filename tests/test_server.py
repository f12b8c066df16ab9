"""The planes put together: what goes on as long as the shim does."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from shim.proxy.plane import ProxyPlane
from shim.record.log import LineWriter
from shim.server import running, watching
from shim.settings.loading import load


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


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_start_that_fails_leaves_nothing_open_and_says_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "upstream": f"unix:{tmp_path}/nobody.sock",
        "listen": "127.0.0.1:0",
        "ops_listen": "127.0.0.1:0",
        "ledger": str(tmp_path / "ledger.db"),
    }
    settings = load(given, {}, None)
    files = descriptors()
    told = CapturingLogger()
    monkeypatch.setattr(ProxyPlane, "start", lambda _: fails())
    with pytest.raises(IndexError):
        async with running(
            settings, told, LineWriter(-1), reread=lambda: settings, asked=asyncio.Event()
        ):
            pytest.fail("it did not start")
    assert not {thread.name for thread in threading.enumerate()} & {"ledger", "journal"}
    assert descriptors() == files
    assert not {call.args[0] for call in told.calls} & {"listening", "stopped"}
