"""Who uses the old route, told to the metrics and, where it changes, to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from shim.ops.reports import Reports
from shim.record.log import Logger
from shim.record.metrics import Metrics
from shim.report.formats.page import anchor_of
from shim.report.model import CallerReport, State

_COUNT_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5.0
_ADDRESSES: Final = 3


async def count_callers(reports: Reports, metrics: Metrics, logger: Logger, *, most: int) -> None:
    """Tell the metrics who uses the old route by the record, at once and every minute.

    ``most`` of the busiest callers are named; the counts since the start know of no use before it.
    Who is new, or came back, is told to the log.
    """
    arrivals = Arrivals(reports.now(), logger)
    while True:
        try:
            report = await reports.report()
        except Exception as error:  # noqa: BLE001 - a record that cannot be read now may be later
            logger.debug("callers_not_counted", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        users = [caller for caller in report.callers if caller.uses]
        # Those without an owner are there from the start: an alert sees the first of them come.
        counts: dict[tuple[str, ...], int] = {(state.value, ""): 0 for state in State}
        for caller in users:
            key = caller.state.value, caller.owner or ""
            counts[key] = counts.get(key, 0) + 1
        busiest = sorted(users, key=lambda caller: -caller.uses)[:most]
        metrics.callers(counts, {caller.caller: caller.uses for caller in busiest} or None)
        if report.verdict.last_use is not None:
            metrics.last_used(report.verdict.last_use.timestamp())
        arrivals.look(users)
        await asyncio.sleep(_COUNT_SECONDS)


class Arrivals:
    """Tells of callers that were not there before ``since``, or had been away, each once."""

    def __init__(self, since: datetime, logger: Logger) -> None:
        self._since = since
        self._logger = logger
        self._known: set[str] = set()
        self._back: set[str] = set()

    def look(self, users: Iterable[CallerReport]) -> None:
        """Take note of who uses the route now."""
        for caller in users:
            new = caller.first_seen is not None and caller.first_seen >= self._since
            if new and caller.caller not in self._known:
                self._tell("caller_first_seen", caller)
            self._known.add(caller.caller)
            recent = caller.last_seen is not None and caller.last_seen >= self._since
            if caller.state is not State.CAME_BACK:
                self._back.discard(caller.caller)
            elif recent and caller.caller not in self._back:
                self._back.add(caller.caller)
                self._tell("caller_came_back", caller)

    def _tell(self, event: str, caller: CallerReport) -> None:
        self._logger.warning(
            event,
            caller=caller.caller,
            owner=caller.owner,
            contact=caller.contact,
            addresses=list(caller.addresses)[:_ADDRESSES],
            hint=caller.hint,
            see=f"/usage#{anchor_of(caller.caller)}",
        )
