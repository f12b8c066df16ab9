"""The application of the ops port, with what stands behind it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pytest_aiohttp.plugin import AiohttpClient

from shim.ops.app import make_app
from shim.ops.phase import describe
from shim.ops.readiness import Readiness, ledger_part
from shim.ops.usage_page import Usage
from shim.record.log import LineWriter, make_logger
from shim.record.metrics import Metrics
from shim.route.in_force import Live
from shim.route.policy import Policy
from shim.settings.loading import load
from shim.settings.reload import Reload
from shim.settings.table import Settings
from tests.support.clock import Clock
from tests.support.ledger_records import NOON, running
from tests.support.ops import Ops, Start


@pytest.fixture
async def start(tmp_path: Path, aiohttp_client: AiohttpClient) -> AsyncIterator[Start]:
    """Make one: `await start('phase = "freeze"', ledger=path, ops_token="…")`."""
    async with AsyncExitStack() as stack:

        async def starts(text: str = "", *, ledger: Path | None = None, **flags: str) -> Ops:
            config, clock = tmp_path / "shim.toml", Clock(NOON)
            config.write_text(text)

            def reread() -> Settings:
                return load({"instance": "shim-a", **flags}, {}, config)

            settings = reread()
            path = ledger or tmp_path / "ledger.db"
            kept = await stack.enter_async_context(running(path, clock=clock))
            null = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, null)

            def live_by(settings: Settings) -> Live:
                policy = Policy(settings, clock=clock, is_known=kept.is_known)
                return Live(policy, settings.replies, lambda _: [])

            live = live_by(settings)

            def apply(settings: Settings, _: Settings) -> None:
                nonlocal live
                live = live_by(settings)

            reload = Reload(settings, reread, apply, make_logger(LineWriter(null), clock=clock))
            registry = CollectorRegistry()
            metrics = Metrics(registry)
            app = make_app(
                Readiness(
                    {
                        "upstream": lambda: made.upstream,
                        "ledger": lambda: ledger_part(kept.state()),
                        "draining": lambda: {"ok": not made.draining},
                    },
                    {"config": reload.as_dict},
                ),
                registry,
                Usage(
                    kept.source,
                    kept.source,
                    kept.state,
                    lambda: reload.settings.callers,
                    reload.why_rejected,
                    clock=clock,
                    instance=settings.instance,
                ),
                lambda caller: describe(live, reload, caller),
                token=settings.ops_token,
            )
            made = Ops(await aiohttp_client(app), kept, reload, metrics, clock, config)
            return made

        yield starts


@pytest.fixture
async def ops(start: Start) -> Ops:
    """One with default settings."""
    return await start()
