"""The application of the ops port, with what stands behind it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from shim.ops.app import make_app
from shim.ops.pages import Pages
from shim.ops.phase import PhaseWatch
from shim.ops.readiness import Readiness
from shim.ops.reports import Reports
from shim.proxy.plane import ProxyPlane
from shim.record.log import LineWriter, make_logger
from shim.record.plane import RecordPlane
from shim.settings.declared import Settings
from shim.settings.loading import load
from shim.settings.reload import Reload
from tests.support.clock import Clock
from tests.support.ledger_records import NOON
from tests.support.ops import Ops, Start, Upstream


@pytest.fixture
async def start(tmp_path: Path, aiohttp_client: AiohttpClient) -> AsyncIterator[Start]:
    """Make one: `await start('phase = "freeze"', ledger=path, ops_token="…")`."""
    async with AsyncExitStack() as stack:

        async def starts(text: str = "", *, ledger: Path | None = None, **flags: str) -> Ops:
            config, clock, upstream = tmp_path / "shim.toml", Clock(NOON), Upstream()
            config.write_text(text)
            await upstream.listen()
            stack.push_async_callback(upstream.leave)
            given = {
                "instance": "shim-a",
                "upstream": f"http://127.0.0.1:{upstream.port}",
                "listen": "127.0.0.1:0",
                "ops_listen": "127.0.0.1:0",
                "ledger": str(ledger or tmp_path / "ledger.db"),
                **flags,
            }

            def reread() -> Settings:
                return load(given, {}, config)

            settings = reread()
            null = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, null)
            writer = LineWriter(null)
            logger = make_logger(writer, instance="shim-a", clock=clock)
            record = RecordPlane(settings, logger, writer, clock=clock)
            proxy = stack.enter_context(closing(ProxyPlane(settings, record)))
            reload = Reload(settings, reread, logger, asyncio.Event())
            phases = PhaseWatch(record, proxy, reload)
            reload.follow(proxy.apply)
            reload.follow(phases.changed)
            record.start()
            stack.push_async_callback(record.finish)
            phases.start()
            await proxy.try_upstream()
            app = make_app(
                Readiness(proxy, record.ledger, reload),
                record.registry,
                Pages(Reports(record.ledger, reload, clock=clock), record.ledger, reload),
                phases,
                token=settings.ops_token,
            )
            client = await aiohttp_client(app)
            return Ops(client, record, proxy, reload, clock, config, upstream)

        yield starts


@pytest.fixture
async def ops(start: Start) -> Ops:
    """One with default settings."""
    return await start()
