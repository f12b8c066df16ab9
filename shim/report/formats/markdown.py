"""The report as Markdown that fits into a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from shim.moments import minute
from shim.report.model import CallerReport, Report, Status
from shim.report.text import curl_line, name_of, plain, plural
from shim.report.words import (
    MEMBERS,
    STATES,
    UNSEEN,
    UNSEEN_PLACES,
    acute,
    by_when,
    carried,
    could_be_safe,
    counts,
    details,
    headline,
    other_totals,
    this_week,
)

# What Markdown, HTML in it, mentions (@team) and references (#12, !3) would take for their own.
_SPECIAL: Final = re.compile(r"[&<>`|*_\[\]~@\\$#!]|(?<=www)\.|:(?=//)")


def usage_markdown(report: Report) -> str:
    """Return GitHub-flavoured Markdown.

    Of one owner's callers it is a ticket for them: what they did this week, what to change, by
    when.  Else it is the verdict, who uses the route, and which shims have seen it.
    """
    lines = _report(report) if report.owner is None else _ticket(report)
    return "\n".join(lines) + "\n"


def escape(text: str, limit: int | None = 80) -> str:
    """Return ``text`` so that Markdown shows it and does nothing with it."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", plain(text, limit))


def _report(report: Report) -> Iterator[str]:
    verdict, totals = report.verdict, report.totals
    since = f"since {minute(report.since)}, " if report.since else ""
    yield "## Deprecated route `DELETE /invocations/{invocation_id}`"
    yield ""
    yield f"**{headline(verdict)}.** {escape(verdict.reason, None)}"
    if verdict.status is not Status.SAFE:
        yield f"It could be safe to remove: {could_be_safe(report)}. Sunset: {by_when(report)}."
    for warning in report.warnings:
        yield ""
        yield f"> {escape(warning, None)}"
    yield ""
    yield (
        f"As of {minute(report.generated_at)}, {since}"
        f"{plural(totals.uses, 'use')} by {plural(_users(report), 'caller')}; "
        f"{totals.masked:,} told 202 where the new endpoint says 404 or 409, "
        f"{other_totals(totals)}."
    )
    if report.callers:
        yield ""
        yield from _callers(report)
    if to_change := acute(report):
        yield ""
        yield "### What to change"
        yield ""
        for caller in to_change:
            yield _change(caller, report)
    if report.instances:
        yield ""
        yield "### Shims that recorded"
        yield ""
        yield from _members(report)
    if report.unreadable:
        yield ""
        yield f"Requests that could not be read, by address: {counts(report.unreadable, escape)}."
    if report.unseen_places:
        yield ""
        yield f"### {UNSEEN_PLACES}"
        yield ""
        for place in report.unseen_places:
            yield f"- {escape(place.where, 200)}: {escape(place.code, 120)}"
    yield ""
    yield UNSEEN


def _ticket(report: Report) -> Iterator[str]:
    yield f"## {escape(report.owner or '')}: move off `DELETE /invocations/{{invocation_id}}`"
    yield ""
    yield (
        "Restate deprecated this call. `PATCH /invocations/{invocation_id}/{cancel|kill|purge}` "
        "replaces it, and answers 404 and 409 where the old one said 202."
    )
    yield f"By when: **{by_when(report)}**."
    if not report.callers:
        yield ""
        yield "None of their callers is on record."
    for caller in report.callers:
        yield ""
        yield f"### {escape(name_of(caller.caller))} ({_standing(caller)})"
        yield ""
        yield f"- this week: {this_week(caller, report.generated_at)}"
        yield from (f"- {escape(line, None)}" for line in details(caller, report.generated_at))
        if caller.contact:
            yield f"- contact: {escape(caller.contact)}"
        if caller.note:
            yield f"- {escape(caller.note, 300)}"
        if caller.hint:
            yield ""
            yield f"To change: {escape(caller.hint, None)}"
        if line := curl_line(caller.replacement):
            yield ""
            yield f"    {line}"


def _standing(caller: CallerReport) -> str:
    return (
        f"acknowledged until {caller.acknowledged_until}"
        if caller.acknowledged
        else (STATES[caller.state])
    )


def _callers(report: Report) -> Iterator[str]:
    yield "| Caller | Owner | State | Uses | First | Last | Modes | Masked | New | Near misses |"
    yield "|---|---|---|--:|---|---|---|---|--:|--:|"
    for caller in report.callers:
        cells = (
            escape(name_of(caller.caller)),
            escape(caller.owner or "–"),
            _standing(caller),
            f"{caller.uses:,}",
            minute(caller.first_seen),
            minute(caller.last_seen),
            counts(caller.modes, escape),
            counts(caller.masked, escape),
            f"{caller.replacement_calls:,}",
            f"{caller.near_misses:,}",
        )
        yield f"| {' | '.join(cells)} |"


def _members(report: Report) -> Iterator[str]:
    yield "| Shim | State | First sign | Last sign | Observed | Requests |"
    yield "|---|---|---|---|--:|--:|"
    for member in report.instances:
        cells = (
            escape(member.instance),
            MEMBERS[member.state],
            minute(member.first_seen),
            minute(member.last_seen),
            f"{member.observed_percent:g} %",
            carried(member),
        )
        yield f"| {' | '.join(cells)} |"


def _change(caller: CallerReport, report: Report) -> str:
    parts = [f"- **{escape(name_of(caller.caller))}**"]
    if caller.hint:
        parts[0] += f": {escape(caller.hint, None)}"
    parts += [escape(line, None) for line in details(caller, report.generated_at)]
    if line := curl_line(caller.replacement):
        parts.append(f"`{line}`")
    if caller.contact:
        parts.append(f"tell {escape(caller.contact)}")
    if caller.note:
        parts.append(escape(caller.note, 300))
    return "<br>".join(parts)


def _users(report: Report) -> int:
    return sum(1 for caller in report.callers if caller.uses)
