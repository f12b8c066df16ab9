"""The application of the ops port, and what stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient

from shim.ledger.ledger import Ledger
from shim.proxy.plane import ProxyPlane
from shim.record.metrics import Metrics
from shim.record.plane import RecordPlane
from shim.settings.reload import Reload
from tests.support.clock import Clock


class Upstream:
    """Accepts connections, or does not."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._accepted: list[asyncio.StreamWriter] = []

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._accepted:
            writer.close()
            await writer.wait_closed()
        self._accepted.clear()

    async def _accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted.append(writer)


@dataclass
class Ops:
    """Its client, and the parts that it tells of."""

    client: TestClient[web.Request, web.Application]
    record: RecordPlane
    proxy: ProxyPlane
    reload: Reload
    clock: Clock
    config: Path
    upstream: Upstream

    @property
    def ledger(self) -> Ledger:
        return self.record.ledger

    @property
    def metrics(self) -> Metrics:
        return self.record.metrics

    async def rewrite(self, text: str) -> None:
        """Give the settings' file another content, and have it read."""
        self.config.write_text(text)
        await self.reload.look(asked=True)


Start = Callable[..., Awaitable[Ops]]
