"""The report for people at a terminal, wide or narrow."""

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
from shim.report.model import CallerReport, Report, State, Status
from shim.report.text import curl_line, name_of, plain, plural
from shim.report.words import (
    CAME_BACK,
    STATES,
    ago,
    counts,
    headline,
    other_totals,
    who_must_change,
)

_NARROW: Final = 90
_COLOURS: Final = {
    Status.SAFE: "green",
    Status.IN_USE: "red",
    Status.UNPROVEN: "yellow",
    Status.ACKNOWLEDGED: "magenta",
    State.ACTIVE: "red",
    State.CAME_BACK: "bold red",
    State.QUIET: "yellow",
    State.MIGRATED: "green",
}


def print_table(report: Report, out: TextIO, width: int | None = None) -> None:
    """Print the report to ``out``; colours only where ``out`` is a terminal.

    ``width`` is in columns, by default the terminal's, and 120 where there is none.
    """
    console = Console(file=out, width=width, highlight=False, emoji=False, markup=False)
    if width is None and not console.is_terminal:
        console.width = 120
    console.print(_verdict(report))
    console.print(_totals(report))
    if not report.callers:
        return
    narrow = console.width < _NARROW
    console.print(Group(*_cards(report)) if narrow else _callers(report))
    for caller in who_must_change(report):
        _print_change(console, caller)


def _verdict(report: Report) -> RenderableType:
    status = report.verdict.status
    colour = _COLOURS[status]
    title = Text(headline(report.verdict), f"bold {colour}")
    return Panel(Text(report.verdict.reason), title=title, title_align="left", border_style=colour)


def _totals(report: Report) -> RenderableType:
    totals = report.totals
    since = f"since {minute(report.since)}: " if report.since else ""
    text = Text(f"{since}{plural(totals.uses, 'use')}", "bold")
    text.append(f", {totals.masked:,} masked, {other_totals(totals)}", "not bold")
    return Padding(text, (0, 1), expand=False)


def _callers(report: Report) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("Caller", overflow="fold", ratio=2, min_width=14)
    table.add_column("State", no_wrap=True)
    table.add_column("Uses", justify="right", no_wrap=True)
    table.add_column("Last use", no_wrap=True)
    table.add_column("Modes")
    table.add_column("Masked", no_wrap=True)
    table.add_column("New calls", justify="right", no_wrap=True)
    table.add_column("Owner", overflow="fold", ratio=1)
    for caller in report.callers:
        table.add_row(
            Text(name_of(caller.caller)),
            _state(caller),
            f"{caller.uses:,}",
            _last(caller, report),
            counts(caller.modes),
            counts(caller.masked),
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
        if caller.uses:
            text.append(f"\n  {counts(caller.modes)}")
        if caller.times_masked:
            text.append(f"\n  masked {counts(caller.masked)}")
        if caller.replacement_calls:
            text.append(f"\n  {plural(caller.replacement_calls, 'new call')}")
        if caller.owner:
            text.append(f"\n  {plain(caller.owner)}")
        yield text


def _print_change(console: Console, caller: CallerReport) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(Padding(Text(text, style), (0, 0, 0, 2), expand=False))

    console.print(Text(name_of(caller.caller), "bold"))
    if caller.uses:
        say(f"first used {minute(caller.first_seen)}; {counts(caller.decisions)}")
    if caller.came_back:
        say(CAME_BACK, "yellow")
    if caller.near_miss_kinds:
        say(f"near misses: {counts(caller.near_miss_kinds)}", "yellow")
    if caller.hint:
        say(plain(caller.hint, None))
    if line := curl_line(caller.replacement):
        # Unbroken, however narrow the terminal: it is there to be copied.
        console.print(Text(f"  {plain(line, None)}", "cyan"), soft_wrap=True)
    if caller.acknowledged_until:
        say(f"acknowledged until {caller.acknowledged_until}", "dim")
    if caller.note:
        say(plain(caller.note, 300), "dim")


def _state(caller: CallerReport) -> Text:
    return Text(STATES[caller.state], _COLOURS[caller.state])


def _last(caller: CallerReport, report: Report) -> str:
    return ago(caller.last_seen, report.generated_at, whole_days=True)
