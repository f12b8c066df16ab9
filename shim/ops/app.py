"""The control plane: the shim's own endpoints, on a port of their own."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from shim.ledger.errors import LedgerError
from shim.ops.pages import Pages
from shim.ops.phase import PhaseWatch
from shim.ops.readiness import Readiness
from shim.route.replies import error_body

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN: Final = ("/live", "/ready")


def make_app(
    readiness: Readiness,
    registry: CollectorRegistry,
    pages: Pages,
    phases: PhaseWatch,
    *,
    token: str | None,
) -> web.Application:
    """Return the application of the ops port; with ``token``, all but health asks for it."""

    @web.middleware
    async def answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if token is not None and request.path not in _OPEN:
            field = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            scheme, _, given = field.partition(b" ")
            good = hmac.compare_digest(given.strip(), token.encode())
            if scheme.lower() != b"bearer" or not good:
                return _error(
                    401,
                    "A bearer token is needed (--ops-token)",
                    {"WWW-Authenticate": 'Bearer realm="restate-shim"'},
                )
        try:
            response = await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _error(error.status, f"{error.reason}: {request.path}", allow)
        except LedgerError as error:
            return _error(503, str(error), {})
        response.headers["Cache-Control"] = "no-store"
        return response

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(_: web.Request) -> web.Response:
        is_ready, parts = readiness.look()
        return web.json_response({"ready": is_ready, **parts}, status=200 if is_ready else 503)

    async def phase(request: web.Request) -> web.Response:
        return web.json_response(phases.describe(request.query.get("caller")))

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application(middlewares=[answer])
    app.add_routes(
        [
            web.get("/live", live),
            web.get("/ready", ready),
            web.get("/phase", phase),
            web.get("/metrics", metrics),
            web.get("/verdict", pages.verdict),
            web.get("/report", pages.report_as),
            web.get("/usage", pages.page),
            web.get("/usage.json", pages.json),
            web.get("/usage.csv", pages.csv),
        ]
    )
    return app


def _error(status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    text = error_body(message).decode()
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)
