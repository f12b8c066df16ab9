"""The report as pages: ``/verdict``, ``/report``, ``/usage`` and its files."""

from __future__ import annotations

import asyncio
import glob
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from shim import __version__
from shim.ledger.errors import LedgerError
from shim.ledger.ledger import Ledger
from shim.ledger.recent import read_recent
from shim.ledger.records import Use
from shim.moments import parse_since
from shim.ops.reports import Reports
from shim.report.asked import DEFAULT_WINDOW
from shim.report.formats import FORMATS
from shim.report.formats.page import (
    CONTENT_SECURITY_POLICY,
    MOST_RECENT,
    NO_OWNER,
    Filters,
    Recording,
    render_page,
)
from shim.report.formats.rendering import render
from shim.report.model import Report, Status
from shim.report.text import plain
from shim.settings.parsers import parse_positive
from shim.settings.reload import Reload

_COLUMNS: Final = 80
_TYPES: Final = {
    "table": "text/plain",
    "json": "application/json",
    "csv": "text/csv",
    "markdown": "text/markdown",
    "html": "text/html",
}
_ANSWERS: Final = {
    Status.SAFE: 200,
    Status.IN_USE: 409,
    Status.ACKNOWLEDGED: 409,
    Status.UNPROVEN: 425,
}


class Pages:
    """The report as the endpoints show it."""

    def __init__(self, reports: Reports, ledger: Ledger, reload: Reload) -> None:
        self._reports = reports
        self._ledger = ledger
        self._reload = reload

    async def verdict(self, request: web.Request) -> web.Response:
        """``GET /verdict?within=14d``: the verdict as JSON and, for those who wait, as a status."""
        _check_names(request, "within")
        verdict = (await self._reports.report(_within(request))).verdict
        return web.json_response(verdict.as_json(), status=_ANSWERS[verdict.status])

    async def report_as(self, request: web.Request) -> web.Response:
        """``GET /report?format=…&since=…&owner=…&within=…``: what the command of that name prints.

        The verdict's status is in ``X-Restate-Shim-Verdict``.
        """
        _check_names(request, "format", "since", "owner", "within")
        style = request.query.get("format", "table")
        if style not in FORMATS:
            raise web.HTTPBadRequest(reason=f"format takes one of {', '.join(FORMATS)}")
        return await self._made(request, style)

    async def json(self, request: web.Request) -> web.Response:
        """``GET /usage.json``, of a part as ``/report``."""
        return await self._made(request, "json")

    async def csv(self, request: web.Request) -> web.Response:
        """``GET /usage.csv``, of a part as ``/report``."""
        return await self._made(request, "csv")

    async def _made(self, request: web.Request, style: str) -> web.Response:
        window, query = _within(request), request.query
        try:
            since = parse_since(query["since"], self._reports.now()) if "since" in query else None
        except ValueError as error:
            raise web.HTTPBadRequest(reason=f"since takes {error}") from None
        whole = await self._reports.report(window)
        part = since is not None or "owner" in query

        def make() -> tuple[Report, str]:
            report = whole
            if part:
                report = self._reports.part(window, since=since, owner=query.get("owner"))
            return report, render(report, style, width=_COLUMNS)

        report, text = await asyncio.to_thread(make)
        return web.Response(
            text=text,
            content_type=_TYPES[style],
            headers={"X-Restate-Shim-Verdict": report.verdict.status.value},
        )

    async def page(self, request: web.Request) -> web.Response:
        """``GET /usage``."""
        filters = Filters.from_query(request.query)
        state = self._ledger.state()
        recording = Recording(ok=state.ok, detail=state.error or "")
        source, partly = self._reports.source, ""
        try:
            report = await self._reports.report()
        except LedgerError as error:
            # Whoever watches the page must see what there is to see, and what there is not.
            partly = str(error)
            source = self._ledger.source
            report = await asyncio.to_thread(self._reports.of_own_ledger)

        def make() -> str:
            shown = report
            if filters.owner and not partly:
                owner = "" if filters.owner == NO_OWNER else glob.escape(filters.owner)
                shown = self._reports.part(owner=owner)
            return render_page(
                shown,
                recent=self._recent(source, filters, report.generated_at),
                filters=filters,
                recording=recording,
                partly=partly,
                rejected=self._reload.why_rejected(),
                instance=self._reload.settings.instance,
                version=__version__,
            )

        text = await asyncio.to_thread(make)
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(text=text, content_type="text/html", headers=headers)

    def _recent(self, source: Path | str, filters: Filters, now: datetime) -> list[Use]:
        try:
            return read_recent(
                source,
                MOST_RECENT,
                since=filters.begin(now),
                caller=filters.caller or None,
                mode=filters.mode or None,
                decision=filters.decision or None,
                waiting=self._ledger.waiting(),
            )
        except LedgerError:
            return []


def _check_names(request: web.Request, *known: str) -> None:
    """Refuse a name that nobody knows: who misspells one must not get the answer of another."""
    if unknown := next((name for name in request.query if name not in known), None):
        reason = f"there is no {plain(unknown)} here, but {', '.join(known)}"
        raise web.HTTPBadRequest(reason=reason)


def _within(request: web.Request) -> timedelta:
    if "within" not in request.query:
        return DEFAULT_WINDOW
    try:
        return parse_positive(request.query["within"])
    except ValueError:
        reason = "within takes a duration above zero such as 14d"
        raise web.HTTPBadRequest(reason=reason) from None
