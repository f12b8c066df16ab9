"""The application of the ops port, and what stands behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

from shim.ledger.ledger import Ledger
from shim.record.metrics import Metrics
from shim.settings.reload import Reload
from tests.support.clock import Clock


@dataclass
class Ops:
    """Its client, its real parts, and in the place of the proxy what that says of itself."""

    client: TestClient[web.Request, web.Application]
    ledger: Ledger
    reload: Reload
    metrics: Metrics
    clock: Clock
    config: Path
    upstream: dict[str, Any] = field(default_factory=lambda: {"ok": True})
    draining: bool = False

    async def rewrite(self, text: str) -> None:
        """Give the settings' file another content, and have it read."""
        self.config.write_text(text)
        await self.reload.look(asked=True)


Start = Callable[..., Awaitable[Ops]]
