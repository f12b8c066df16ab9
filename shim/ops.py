"""The control plane: the shim's own endpoints, on a port of their own."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from shim import __version__
from shim.evidence import Evidence
from shim.ledger import LedgerError, LedgerState, read_evidence, read_recent
from shim.logs import Logger
from shim.metrics import Metrics
from shim.policy import CallerRule
from shim.report import Report, State, build_report
from shim.report.page import CONTENT_SECURITY_POLICY, Filters, Recording, render_page
from shim.report.tabular import usage_csv

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN: Final = ("/live", "/ready")
_RECENT: Final = 200
_FRESH_SECONDS: Final = 1.0
_COUNT_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5.0


@dataclass
class Readiness:
    """Whether the shim should get traffic, and why not: each part has ``ok`` and a reason."""

    checks: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    notes: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    """What is shown along with them, but keeps nobody from serving."""

    def look(self) -> tuple[bool, dict[str, Mapping[str, Any]]]:
        """Return whether all parts are well, and the parts."""
        parts = {name: check() for name, check in self.checks.items()}
        notes = {name: note() for name, note in self.notes.items()}
        return all(part["ok"] for part in parts.values()), {**parts, **notes}


class Usage:
    """The report as pages; reading the ledger happens in a thread, once for all who ask at once."""

    def __init__(
        self,
        source: Path | str,
        own: Path | str,
        state: Callable[[], LedgerState],
        rules: Callable[[], Sequence[CallerRule]],
        rejected: Callable[[], str],
        *,
        clock: Callable[[], datetime],
        instance: str,
    ) -> None:
        self._source = source
        self._own = own
        self._state = state
        self._rules = rules
        self._rejected = rejected
        self._clock = clock
        self._instance = instance
        self._lock = asyncio.Lock()
        self._report: Report | None = None
        self._read_at = 0.0

    async def report(self) -> Report:
        """Return a report that is at most a second old; raise ``LedgerError``."""
        async with self._lock:
            if self._report is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._report = await asyncio.to_thread(self._build)
                self._read_at = time.monotonic()
            return self._report

    def _build(self, source: Path | str | None = None) -> Report:
        evidence = read_evidence(source or self._source)
        lost = self._state().dropped
        return build_report(evidence, now=self._clock(), rules=self._rules(), lost=lost)

    async def page(self, request: web.Request) -> web.Response:
        """``GET /usage``."""
        filters = Filters.from_query(request.query)
        state = self._state()
        recording = Recording(ok=state.ok, detail=state.error or "")
        source, partly = self._source, ""
        try:
            report = await self.report()
        except LedgerError as error:
            # Whoever watches the page must see what there is to see, and what there is not.
            partly = str(error)
            source = self._own
            report = await asyncio.to_thread(self._own_report)

        def render() -> str:
            return render_page(
                report,
                recent=self._recent(source, filters, report.generated_at),
                filters=filters,
                recording=recording,
                partly=partly,
                rejected=self._rejected(),
                instance=self._instance,
                version=__version__,
            )

        text = await asyncio.to_thread(render)
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(text=text, content_type="text/html", headers=headers)

    def _own_report(self) -> Report:
        try:
            return self._build(self._own)
        except LedgerError:
            return build_report(Evidence(), now=self._clock(), lost=self._state().dropped)

    def _recent(self, source: Path | str, filters: Filters, now: datetime) -> list[dict[str, Any]]:
        try:
            return read_recent(
                source,
                _RECENT,
                since=filters.begin(now),
                caller=filters.caller or None,
                mode=filters.mode or None,
                decision=filters.decision or None,
            )
        except LedgerError:
            return []

    async def json(self, _: web.Request) -> web.Response:
        """``GET /usage.json``."""
        return web.json_response((await self.report()).as_json())

    async def csv(self, _: web.Request) -> web.Response:
        """``GET /usage.csv``."""
        return web.Response(text=usage_csv(await self.report()), content_type="text/csv")


async def count_callers(usage: Usage, metrics: Metrics, logger: Logger, *, most: int) -> None:
    """Tell the metrics who uses the old route by the record, at once and every minute.

    ``most`` of the busiest callers are named; the counts since the start know of no use before it.
    """
    while True:
        try:
            report = await usage.report()
        except Exception as error:  # noqa: BLE001 - a record that cannot be read now may be later
            logger.debug("callers_not_counted", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        users = [caller for caller in report.callers if caller.uses]
        states = dict.fromkeys((state.value for state in State), 0)
        for caller in users:
            states[caller.state.value] += 1
        busiest = sorted(users, key=lambda caller: -caller.uses)[:most]
        metrics.callers(states, {caller.caller: caller.uses for caller in busiest} or None)
        if report.verdict.last_use is not None:
            metrics.last_used(report.verdict.last_use.timestamp())
        await asyncio.sleep(_COUNT_SECONDS)


def make_app(
    readiness: Readiness,
    registry: CollectorRegistry,
    usage: Usage,
    in_force: Callable[[str | None], Mapping[str, Any]],
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
        return web.json_response(in_force(request.query.get("caller")))

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
            web.get("/usage", usage.page),
            web.get("/usage.json", usage.json),
            web.get("/usage.csv", usage.csv),
        ]
    )
    return app


def _error(status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    body = json.dumps({"message": message, "restate_code": None})
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
