"""What the formats for people say in the same words: of verdict and states, counts and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from shim.moments import length, minute
from shim.report.model import CallerReport, Report, State, Status, Totals
from shim.report.text import plain, plural

HEADLINES: Final = {
    Status.SAFE: "Safe to remove",
    Status.IN_USE: "Still in use",
    Status.UNPROVEN: "Not proven",
}
STATES: Final = {
    State.ACTIVE: "active",
    State.CAME_BACK: "came back",
    State.QUIET: "quiet",
    State.MIGRATED: "migrated",
}
NEAR_MISSES: Final = {
    "wrong_method": "the new path with another method: it takes PATCH",
    "extra_segment": "DELETE on a longer path: PATCH /invocations/ID/MODE is meant",
    "bad_mode": "a mode that is none, or two of them: cancel, kill or purge, once",
    "no_mode_segment": "the new method without the mode behind the id: /cancel, /kill or /purge",
    "no_id": "DELETE without an id: it takes one invocation at a time",
    "mode_spelling": "a mode in other letters: cancel, kill and purge are lower case",
    "wrong_prefix": "/restate before the path, which is not of the admin API: leave it out",
    "double_slash": "two slashes in a row: the path takes one",
    "trailing_slash": "a slash at the end: leave it out",
    "singular": "/invocation in place of /invocations",
    "removed_version": "/v1, which answers 400 whatever follows: leave it out",
}
CAME_BACK: Final = "came back after a week or more without a use"


def who_must_change(report: Report) -> list[CallerReport]:
    """Return the callers that have something to change."""
    return [caller for caller in report.callers if caller.uses or caller.near_misses]


def counts(numbers: Mapping[str, int], show: Callable[[str], str] = plain) -> str:
    """Return ``cancel 3, kill 1,204``; ``show`` makes the names fit to be shown."""
    return ", ".join(f"{show(name)} {count:,}" for name, count in numbers.items() if count) or "–"


def other_totals(totals: Totals) -> str:
    """Return the totals besides uses and masked ones."""
    return (
        f"{totals.refused:,} refused, {totals.failed:,} failed, "
        f"{plural(totals.near_misses, 'near miss')}, "
        f"{plural(totals.replacement_calls, 'call')} to the new endpoints"
    )


def ago(moment: datetime | None, now: datetime, *, whole_days: bool = False) -> str:
    """Return how long ago it was; what is ahead of ``now`` is said as it is."""
    if moment is None:
        return "never"
    if moment > now:
        return minute(moment)
    passed = now - moment
    return f"{length(timedelta(days=passed.days) if whole_days and passed.days else passed)} ago"
