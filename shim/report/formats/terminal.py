"""The report for people at a terminal, wide or narrow, and for what is piped on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shim.moments import minute
from shim.report.model import CallerReport, MemberState, Report, State, Status
from shim.report.text import curl_line, name_of, plain, plural
from shim.report.words import (
    MEMBERS,
    STATES,
    UNSEEN,
    UNSEEN_PLACES,
    acute,
    ago,
    carried,
    could_be_safe,
    counts,
    details,
    headline,
    other_totals,
)

_NARROW: Final = 76
_MOST_PLACES: Final = 20
_COLOURS: Final = {
    Status.SAFE: "green",
    Status.IN_USE: "red",
    Status.UNPROVEN: "yellow",
    Status.ACKNOWLEDGED: "magenta",
    State.ACTIVE: "red",
    State.CAME_BACK: "bold red",
    State.QUIET: "yellow",
    State.MIGRATED: "green",
    MemberState.UP: "green",
    MemberState.STOPPED: "yellow",
    MemberState.DARK: "red",
}


class _Console(Console):
    """Rich's own would end the program with 1 where its reader has left: no code of a verdict."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_table(report: Report, out: TextIO, width: int | None = None) -> None:
    """Print the report to ``out``; colours only where ``out`` is a terminal.

    ``width`` is in columns, by default the terminal's, and 80 where there is none.
    """
    console = _Console(file=out, width=width, highlight=False, emoji=False, markup=False)
    console.print(_verdict(report))
    for warning in report.warnings:
        console.print(Padding(Text(plain(warning, None), "yellow"), (0, 1), expand=False))
    console.print(_totals(report))
    narrow = console.width < _NARROW
    if report.callers:
        console.print(Group(*_cards(report)) if narrow else _callers(report))
        for caller in acute(report):
            _print_change(console, caller, report)
    if report.instances:
        console.print(Group(*_members_in_lines(report)) if narrow else _members(report))
    if report.unreadable:
        addresses_of = counts(dict(list(report.unreadable.items())[:5]))
        console.print(_aside(f"Requests that could not be read, by address: {addresses_of}."))
    if report.unseen_places:
        console.print(Text(f"{UNSEEN_PLACES}:", "bold"))
        for place in report.unseen_places[:_MOST_PLACES]:
            line = f"  {plain(place.where, 200)}  {place.mode or ''}"
            console.print(Text(line.rstrip()), soft_wrap=True)
        if (more := len(report.unseen_places) - _MOST_PLACES) > 0:
            console.print(_aside(f"{more} more in --format json"))
    console.print(_aside(UNSEEN))
    if report.callers:
        # What scrolled away above is what was asked for.
        console.print(_headline(report))


def _verdict(report: Report) -> RenderableType:
    text = Text(report.verdict.reason)
    if report.verdict.status is not Status.SAFE:
        text.append(f" It could be safe to remove: {could_be_safe(report)}.", "bold")
    colour = _COLOURS[report.verdict.status]
    return Panel(text, title=_headline(report), title_align="left", border_style=colour)


def _headline(report: Report) -> Text:
    return Text(headline(report.verdict), f"bold {_COLOURS[report.verdict.status]}")


def _totals(report: Report) -> RenderableType:
    totals = report.totals
    since = f"since {minute(report.since)}: " if report.since else ""
    text = Text(f"{since}{plural(totals.uses, 'use')}", "bold")
    text.append(f", {totals.masked:,} masked, {other_totals(totals)}", "not bold")
    if report.owner is not None:
        text.append(f"; callers of {plain(report.owner)}", "not bold")
    return Padding(text, (0, 1), expand=False)


def _callers(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("Caller", overflow="fold", ratio=3, min_width=16)
    table.add_column("State", no_wrap=True)
    table.add_column("Uses", justify="right", no_wrap=True)
    table.add_column("Last use", no_wrap=True)
    table.add_column("New calls", justify="right", no_wrap=True)
    table.add_column("Owner", overflow="fold", ratio=2, min_width=8)
    for caller in report.callers:
        table.add_row(
            Text(name_of(caller.caller)),
            _state(caller),
            f"{caller.uses:,}",
            _last(caller, report),
            f"{caller.replacement_calls:,}" if caller.replacement_calls else "–",
            Text(plain(caller.owner or "–")),
        )
    return table


def _cards(report: Report) -> Iterator[RenderableType]:
    for caller in report.callers:
        text = Text("\n")
        text.append(name_of(caller.caller), "bold")
        text.append("  ").append_text(_state(caller))
        text.append(f"\n  {plural(caller.uses, 'use')}, last {_last(caller, report)}")
        if caller.replacement_calls:
            text.append(f"\n  {plural(caller.replacement_calls, 'new call')}")
        if caller.owner:
            text.append(f"\n  {plain(caller.owner)}")
        yield text


def _print_change(console: Console, caller: CallerReport, report: Report) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(Padding(Text(text, style), (0, 0, 0, 2), expand=False))

    console.print(Text(name_of(caller.caller), "bold"))
    for detail in details(caller, report.generated_at):
        say(detail)
    if caller.hint:
        say(plain(caller.hint, None))
    if line := curl_line(caller.replacement):
        # Unbroken, however narrow the terminal: it is there to be copied.
        console.print(Text(f"  {plain(line, None)}", "cyan"), soft_wrap=True)
    if caller.contact:
        say(f"tell {plain(caller.contact)}", "dim")
    if caller.note:
        say(plain(caller.note, 300), "dim")


def _members(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Shim", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("First sign", no_wrap=True)
    table.add_column("Last sign", no_wrap=True)
    table.add_column("Observed", justify="right", no_wrap=True)
    table.add_column("Requests", justify="right", no_wrap=True)
    for member in report.instances:
        table.add_row(
            Text(plain(member.instance)),
            Text(MEMBERS[member.state], _COLOURS[member.state]),
            f"{member.first_seen:%Y-%m-%d}",
            ago(member.last_seen, report.generated_at, whole_days=True),
            f"{member.observed_percent:g} %",
            carried(member),
        )
    return table


def _members_in_lines(report: Report) -> Iterator[RenderableType]:
    for member in report.instances:
        text = Text(f"\nshim {plain(member.instance)}  ")
        text.append(MEMBERS[member.state], _COLOURS[member.state])
        text.append(f"\n  {member.first_seen:%Y-%m-%d} to {minute(member.last_seen)}")
        text.append(f"\n  {member.observed_percent:g} % observed, requests: {carried(member)}")
        yield text


def _aside(text: str) -> RenderableType:
    return Padding(Text(text, "dim"), (0, 1), expand=False)


def _state(caller: CallerReport) -> Text:
    if caller.acknowledged:
        return Text("acknowledged", _COLOURS[Status.ACKNOWLEDGED])
    return Text(STATES[caller.state], _COLOURS[caller.state])


def _last(caller: CallerReport, report: Report) -> str:
    return ago(caller.last_seen, report.generated_at, whole_days=True)
