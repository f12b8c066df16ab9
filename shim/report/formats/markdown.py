"""The report as Markdown that fits into a ticket."""

from __future__ import annotations

import re
from typing import Final

from shim.moments import minute
from shim.report.model import CallerReport, Report
from shim.report.text import curl_line, name_of, plain, plural
from shim.report.words import CAME_BACK, STATES, counts, headline, other_totals, who_must_change

# What Markdown, HTML in it, mentions (@team) and references (#12, !3) would take for their own.
_SPECIAL: Final = re.compile(r"[&<>`|*_\[\]~@\\$#!]|(?<=www)\.|:(?=//)")


def usage_markdown(report: Report) -> str:
    """Return GitHub-flavoured Markdown: the verdict, a table of callers, what each must change."""
    verdict, totals = report.verdict, report.totals
    since = f"since {minute(report.since)}, " if report.since else ""
    lines = [
        "## Deprecated route `DELETE /invocations/{invocation_id}`",
        "",
        f"**{headline(verdict)}.** {escape(verdict.reason, None)}",
        "",
        (
            f"As of {minute(report.generated_at)}, {since}"
            f"{plural(totals.uses, 'use')} by {plural(_users(report), 'caller')}; "
            f"{totals.masked:,} told 202 where the new endpoint says 404 or 409, "
            f"{other_totals(totals)}."
        ),
    ]
    if report.callers:
        lines += ["", *_table(report)]
    if to_change := who_must_change(report):
        lines += ["", "### What to change", ""]
        for caller in to_change:
            lines += _change(caller)
    return "\n".join(lines) + "\n"


def escape(text: str, limit: int | None = 80) -> str:
    """Return ``text`` so that Markdown shows it and does nothing with it."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", plain(text, limit))


def _table(report: Report) -> list[str]:
    lines = [
        "| Caller | Owner | State | Uses | First | Last | Modes | Masked | New | Near misses |",
        "|---|---|---|--:|---|---|---|---|--:|--:|",
    ]
    for caller in report.callers:
        cells = (
            escape(name_of(caller.caller)),
            escape(caller.owner or "–"),
            STATES[caller.state],
            f"{caller.uses:,}",
            minute(caller.first_seen),
            minute(caller.last_seen),
            counts(caller.modes, escape),
            counts(caller.masked, escape),
            f"{caller.replacement_calls:,}",
            f"{caller.near_misses:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _change(caller: CallerReport) -> list[str]:
    text = f"- **{escape(name_of(caller.caller))}**"
    if caller.hint:
        text += f": {escape(caller.hint, None)}"
    if caller.came_back:
        text += f"<br>{CAME_BACK}"
    if caller.near_miss_kinds:
        text += f"<br>near misses: {counts(caller.near_miss_kinds, escape)}"
    if line := curl_line(caller.replacement):
        text += f"<br>{_code(line)}"
    if caller.acknowledged_until:
        text += f"<br>acknowledged until {caller.acknowledged_until}"
    if caller.note:
        text += f"<br>{escape(caller.note, 300)}"
    return [text]


def _code(line: str) -> str:
    # A code span decodes no entities, so that it is for harmless lines; <code> is for the others.
    harmless = re.fullmatch(r"[\w ./:$\"'-]+", line, re.ASCII)
    return f"`{line}`" if harmless else f"<code>{escape(line, None)}</code>"


def _users(report: Report) -> int:
    return sum(1 for caller in report.callers if caller.uses)
