"""The report as pages."""

from __future__ import annotations

import asyncio
import glob
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from shim import __version__
from shim.ledger.evidence import Evidence
from shim.ledger.ledger import Ledger
from shim.ledger.reading import read_evidence
from shim.ledger.recent import read_recent
from shim.ledger.records import Use
from shim.ledger.tables.opening import LedgerError
from shim.moments import parse_since
from shim.report.address_names import AddressNamesError, read_address_names
from shim.report.build import build_report
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
from shim.report.verdict import DEFAULT_WINDOW
from shim.settings.parsers import parse_positive
from shim.settings.reload import Reload

_FRESH_SECONDS: Final = 1.0
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


class Usage:
    """The report as pages; reading the ledger happens in a thread, once for all who ask at once."""

    def __init__(self, ledger: Ledger, reload: Reload, *, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._source = reload.settings.record or ledger.source
        self._reload = reload
        self._clock = clock
        self._lock = asyncio.Lock()
        self._reports: dict[timedelta, Report] = {}
        self._read_at = -math.inf
        self._evidence = Evidence()

    async def report(self, window: timedelta = DEFAULT_WINDOW) -> Report:
        """Return a report that is at most a second old; raise ``LedgerError``."""
        async with self._lock:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._evidence = await asyncio.to_thread(self._read, self._source)
                self._read_at = time.monotonic()
                self._reports.clear()
            if window not in self._reports:
                self._reports[window] = await asyncio.to_thread(self._build, self._evidence, window)
            return self._reports[window]

    def _read(self, source: Path | str, since: datetime | None = None) -> Evidence:
        state = self._ledger.state()
        evidence = read_evidence(source, since, waiting=self._ledger.waiting())
        unwritten = [*evidence.unwritten]
        if not state.ok or state.fleet_ok is False:
            # As fresh as its last heartbeat, the record does not show yet that it has stopped.
            unwritten.append(self._clock())
        # Looked at last: what was lost while it was read is not in it.
        if (lost := self._ledger.state().last_lost) is not None:
            unwritten.append(lost)
        return replace(evidence, unwritten=unwritten)

    def _build(
        self,
        evidence: Evidence,
        window: timedelta = DEFAULT_WINDOW,
        *,
        since: datetime | None = None,
        owner: str | None = None,
    ) -> Report:
        settings = self._reload.settings
        names: Mapping[str, str] = {}
        problems = []
        try:
            # Each time anew: pods come and go.
            names = read_address_names(settings.address_names)
        except AddressNamesError as error:
            problems.append(f"Addresses have no names: {error}.")
        shown = None if since is None else self._read(self._source, since)
        report = build_report(
            evidence,
            now=self._clock(),
            since=since,
            shown=shown,
            owner=owner,
            rules=settings.callers,
            instances=settings.instances,
            verdict_window=window,
            sunset=settings.sunset,
            address_names=names,
        )
        return replace(report, warnings=(*report.warnings, *problems))

    def now(self) -> datetime:
        """Return the time that reports are made at."""
        return self._clock()

    async def verdict(self, request: web.Request) -> web.Response:
        """``GET /verdict?within=14d``: the verdict as JSON and, for those who wait, as a status."""
        verdict = (await self.report(_within(request))).verdict
        return web.json_response(verdict.as_json(), status=_ANSWERS[verdict.status])

    async def report_as(self, request: web.Request) -> web.Response:
        """``GET /report?format=…&since=…&owner=…&within=…``: what the command of that name prints.

        The verdict's status is in ``X-Restate-Shim-Verdict``.
        """
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
            since = parse_since(query["since"], self._clock()) if "since" in query else None
        except ValueError as error:
            raise web.HTTPBadRequest(reason=f"since takes {error}") from None
        whole = await self.report(window)
        part = since is not None or "owner" in query

        def make() -> tuple[Report, str]:
            report = whole
            if part:
                report = self._build(self._evidence, window, since=since, owner=query.get("owner"))
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
        source, partly = self._source, ""
        try:
            report = await self.report()
        except LedgerError as error:
            # Whoever watches the page must see what there is to see, and what there is not.
            partly = str(error)
            source = self._ledger.source
            report = await asyncio.to_thread(self._own_report)

        def make() -> str:
            shown = report
            if filters.owner and not partly:
                owner = "" if filters.owner == NO_OWNER else glob.escape(filters.owner)
                shown = self._build(self._evidence, owner=owner)
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

    def _own_report(self) -> Report:
        try:
            return self._build(self._read(self._ledger.source))
        except LedgerError:
            return self._build(Evidence())

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


def _within(request: web.Request) -> timedelta:
    try:
        return parse_positive(request.query.get("within", "14d"))
    except ValueError:
        reason = "within takes a duration above zero such as 14d"
        raise web.HTTPBadRequest(reason=reason) from None
