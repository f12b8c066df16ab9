"""What the formats for people say in the same words: of verdict and states, counts and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from shim.moments import length, minute
from shim.report.model import (
    CallerReport,
    Member,
    MemberState,
    Report,
    State,
    Status,
    Totals,
    Verdict,
)
from shim.report.places import Place
from shim.report.text import listed, name_of, plain, plural

_HEADLINES: Final = {
    Status.SAFE: "Safe to remove",
    Status.IN_USE: "Still in use",
    Status.UNPROVEN: "Not proven",
    Status.ACKNOWLEDGED: "In use by acknowledged callers",
}
# A shorter time shows little: what runs once a week is not seen in it.
_LONG_ENOUGH: Final = timedelta(days=7)
# Calls that follow upon each other within an hour are a burst, and no rhythm for people.
_WORTH_SAYING: Final = timedelta(hours=1)
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
MEMBERS: Final = {
    MemberState.UP: "up",
    MemberState.STOPPED: "stopped",
    MemberState.DARK: "dark",
}
UNSEEN: Final = (
    "What does not come through a shim is not on record: calls to Restate's own port, inside the "
    "pod or by port-forward, and those on its admin.sock."
)


def headline(verdict: Verdict) -> str:
    """Return the verdict in a few words; a short window is said in them."""
    said = _HEADLINES[verdict.status]
    if verdict.window < _LONG_ENOUGH and verdict.status in (Status.SAFE, Status.ACKNOWLEDGED):
        return f"{said}, by the last {length(verdict.window)} alone"
    return said


UNSEEN_PLACES: Final = "In source code, and nobody has been seen to call from there"


def acute(report: Report) -> list[CallerReport]:
    """Return the callers that somebody has to look at now."""
    return [caller for caller in report.callers if caller.is_acute]


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
    if passed < timedelta(seconds=1):
        return "just now"
    return f"{length(timedelta(days=passed.days) if whole_days and passed.days else passed)} ago"


def details(caller: CallerReport, now: datetime) -> list[str]:
    """Return what is to be known of a caller besides what to change, a line each."""
    lines = []
    if caller.uses:
        lines.append(f"first used {minute(caller.first_seen)}; modes: {counts(caller.modes)}")
        lines.append(f"answered: {counts(caller.decisions)}")
    if caller.times_masked:
        lines.append(f"told 202 for {counts(caller.masked)}")
    if caller.clients:
        lines.append(f"from {addresses(caller)}")
    if caller.came_back:
        lines.append("came back after a pause longer than its rhythm")
    if caller.due is not None and caller.interval is not None and caller.interval >= _WORTH_SAYING:
        every = length(caller.interval)
        lines.append(f"calls every {every} or so, next about {minute(caller.due)}")
    if caller.near_miss_kinds:
        last = ago(caller.near_miss_last, now)
        lines.append(f"near misses: {counts(caller.near_miss_kinds)}; last {last}")
    if caller.unreached_calls:
        lines.append(
            f"{plural(caller.unreached_calls, 'call')} to the new endpoints reached no handler: "
            "a wrong path, or a Restate before 1.4"
        )
    if caller.places:
        lines.append(f"made, perhaps, at {places(caller.places)}")
    if caller.names:
        names = ", ".join(name_of(name, 40) for name in caller.names)
        lines.append(f"past the cap: {names} and others; report --uses lists every use")
    return lines


def addresses(caller: CallerReport, most: int = 3) -> str:
    """Return ``10.0.0.7 billing/cron 40, 10.0.0.8 3``, the busiest first."""
    known, names = caller.addresses, caller.address_names
    shown = []
    for address, count in list(known.items())[:most]:
        name = f" {plain(names[address])}" if address in names else ""
        shown.append(f"{plain(address)}{name} {count:,}")
    if len(known) > most:
        shown.append(f"{len(known) - most} more")
    return ", ".join(shown)


def places(found: Sequence[Place], most: int = 3) -> str:
    """Return ``jobs/reap.py:12, ops/kill.sh:3 and 2 more``."""
    return listed([plain(place.where, 120) for place in found], most)


def this_week(caller: CallerReport, now: datetime) -> str:
    """Return what a caller did in the last seven days (UTC)."""
    first = now.astimezone(UTC).date() - timedelta(days=6)
    week = [day for day in caller.days if day.day >= first]
    uses, new = sum(day.uses for day in week), sum(day.replacement_calls for day in week)
    return f"{plural(uses, 'old call')}, {plural(new, 'new call')}"


def by_when(report: Report) -> str:
    """Return when the route is to go, and how long that is from now."""
    if report.sunset is None:
        return "no day is set (--sunset)"
    days = (report.sunset.date() - report.generated_at.date()).days
    left = f"{plural(-days, 'day')} ago" if days < 0 else f"in {plural(days, 'day')}"
    return f"{report.sunset:%Y-%m-%d}, {left if days else 'today'}"


def carried(member: Member) -> str:
    """Return how many requests a shim carried, as far as it counted them."""
    return "not counted" if member.requests is None else f"{member.requests:,}"


def could_be_safe(report: Report) -> str:
    """Return the earliest day on which it could be safe to remove the route."""
    verdict = report.verdict
    if verdict.status is Status.SAFE:
        return "today"
    if verdict.earliest is None or verdict.earliest <= report.generated_at:
        return "not to be told yet"
    return f"{verdict.earliest.astimezone(UTC):%Y-%m-%d}"
