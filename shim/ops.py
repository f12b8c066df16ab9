"""The control plane: the shim's own endpoints, on a port of their own."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Readiness:
    """Whether the shim should get traffic, and why not: each part has ``ok`` and a reason."""

    checks: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)

    def look(self) -> tuple[bool, dict[str, Mapping[str, Any]]]:
        """Return whether all parts are well, and the parts."""
        parts = {name: check() for name, check in self.checks.items()}
        return all(part["ok"] for part in parts.values()), parts


def make_app(
    readiness: Readiness, registry: CollectorRegistry, *, token: str | None = None
) -> web.Application:
    """Return the application of the ops port; with ``token``, all but health asks for it."""

    @web.middleware
    async def authorized(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if token is not None and request.path not in ("/live", "/ready"):
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                return web.json_response(
                    {"message": "A bearer token is needed (--ops-token)", "restate_code": None},
                    status=401,
                    headers={"WWW-Authenticate": 'Bearer realm="restate-shim"'},
                )
        return await handler(request)

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(_: web.Request) -> web.Response:
        is_ready, parts = readiness.look()
        return web.json_response({"ready": is_ready, **parts}, status=200 if is_ready else 503)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application(middlewares=[authorized])
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app
