"""Where the marks of the page's plots go: plain geometry, drawn as SVG by the template."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from shim.ledger.records import PhaseChange
from shim.report.coverage import MAY_MISS
from shim.report.model import CallerReport, DayCount, Report
from shim.report.text import name_of, plain, plural

MOST_DAYS: Final = 90
NAMED: Final = 6
OTHERS: Final = "all others"
_LEFT, _TOP, _STRIP, _BOTTOM = 38, 26, 16, 22


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; ``kind`` is its CSS class, ``title`` what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place; ``anchor`` is SVG's."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Mark:
    """A phase change: a line from top to bottom, its label, and all of it where that is cut."""

    x: float
    label: Label
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Uses per day, stacked by caller, over a strip that shows when shims were recording."""

    width: int
    height: int
    base: float
    bars: list[Bar]
    strip: list[Bar]
    grid: list[Label]
    dates: list[Label]
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of the chart: a caller, or all others."""

    name: str
    kind: str
    by_day: dict[date, int]


def series_of(report: Report) -> list[Series]:
    """Return the busiest callers and the others, in the order in which they are stacked."""
    users = sorted((c for c in report.callers if c.uses), key=lambda c: -c.uses)
    series = [
        Series(name_of(caller.caller, 40), f"c{index}", {d.day: d.uses for d in caller.days})
        for index, caller in enumerate(users[:NAMED])
    ]
    if users[NAMED:]:
        series.append(Series(OTHERS, "others", _sum(users[NAMED:])))
    return series


def days_of(report: Report) -> list[date]:
    """Return the days that the plots show: from the first thing known to today, at most 90."""
    today = report.generated_at.date()
    known = [c.day for c in report.coverage[:1]]
    known += [caller.days[0].day for caller in report.callers if caller.days]
    if report.since is not None:
        known.append(report.since.date())
    first = min([*known, today])
    # A few days look lost on a wide plot; what was before is shown as empty.
    first = min(max(first, today - timedelta(days=MOST_DAYS - 1)), today - timedelta(days=13))
    return [first + timedelta(days=n) for n in range((today - first).days + 1)]


def draw(report: Report, series: Sequence[Series], width: int, height: int) -> Chart:
    """Lay the chart out on ``width`` times ``height`` units."""
    days = days_of(report)
    step = (width - _LEFT) / len(days)
    base: float = height - _BOTTOM - _STRIP
    totals = [sum(one.by_day.get(day, 0) for one in series) for day in days]
    top = _round_up(max([*totals, 1]))
    scale = (base - _TOP) / top
    bars, strip = [], []
    observed = {cover.day: cover.observed for cover in report.coverage}
    gap = min(2.0, step * 0.2)
    for index, day in enumerate(days):
        x = _LEFT + index * step
        reached = base
        for one in series:
            count = one.by_day.get(day, 0)
            if not count:
                continue
            tall = max(count * scale, 1.0)
            reached -= tall
            title = f"{day}: {one.name}, {plural(count, 'use')}"
            bars.append(Bar(_r(x), _r(reached), _r(step - gap), _r(tall), one.kind, title))
        if day in observed:
            kind, said = _coverage(observed[day])
            strip.append(
                Bar(_r(x), base + 6, _r(step - gap), 5, kind, f"{day}: {said}"),
            )
    return Chart(
        width=width,
        height=height,
        base=base,
        bars=bars,
        strip=strip,
        grid=[
            Label(_LEFT - 8, _r(base - value * scale), _short(value), "end")
            for value in ([0, top // 2, top] if top > 1 else [0, top])
        ],
        dates=_dates(days, step, width, height),
        marks=_marks(report, days, step, width),
    )


@dataclass(frozen=True, slots=True)
class BurnDown:
    """How many callers there were, over time, in the seven days before each day.

    ``path`` is an area 100 wide and 40 high, empty without any; ``most`` and ``now`` its highest
    and its last value.
    """

    path: str
    most: int
    now: int


def burn_down(report: Report, shown: Sequence[date]) -> BurnDown:
    """Return how the number of callers that use the route went down."""
    users: defaultdict[date, set[str]] = defaultdict(set)
    for caller in report.callers:
        for day in caller.days:
            if day.uses:
                users[day.day].add(caller.caller)
    values = [
        len(set().union(*(users[day - timedelta(days=n)] for n in range(7)))) for day in shown
    ]
    return BurnDown(_area(values, 40, max(values)), max(values), values[-1])


def most_a_day(caller: CallerReport, shown: Sequence[date]) -> int:
    """Return the most calls, old or new, that a caller made on one of the days."""
    first = shown[0]
    days = [day for day in caller.days if day.day >= first]
    return max((max(day.uses, day.replacement_calls) for day in days), default=0)


def sparkline(
    days: Sequence[DayCount], shown: Sequence[date], attribute: str, most: int | None = None
) -> str:
    """Return the path of an area 100 wide and 24 high with a step per day; empty without data.

    ``most`` is the value that is as high as that, by default the highest.
    """
    counts = {day.day: getattr(day, attribute) for day in days}
    values = [counts.get(day, 0) for day in shown]
    return _area(values, 24, max(values, default=0) if most is None else most)


def _area(values: Sequence[int], height: int, most: int) -> str:
    if not any(values):
        return ""
    step = 100 / len(values)
    points = [f"M0 {height}"]
    for index, value in enumerate(values):
        # A single use must be seen beside a thousand.
        y = height - (3 + (height - 4) * value / most if value else 0)
        points.append(f"V{_r(y):g}H{_r((index + 1) * step):g}")
    return "".join([*points, f"V{height}Z"])


def _sum(callers: Sequence[CallerReport]) -> dict[date, int]:
    found: dict[date, int] = {}
    for caller in callers:
        for day in caller.days:
            found[day.day] = found.get(day.day, 0) + day.uses
    return found


def _coverage(observed: float) -> tuple[str, str]:
    # A restart does not colour the day.
    if observed >= 1 - MAY_MISS:
        return "whole", "recorded throughout"
    if observed <= 0:
        return "dark", "nothing was recorded"
    return "partly", f"{math.floor(observed * 1000) / 10:g} % recorded"


def _dates(days: Sequence[date], step: float, width: int, height: int) -> list[Label]:
    every = max(1, math.ceil(len(days) / (width / 90)))
    labels = []
    # Counted from today, which is the day one looks for.
    for index in range(len(days) - 1, -1, -every):
        x = _LEFT + (index + 0.5) * step
        if x < _LEFT + 24:
            continue
        anchor = "end" if index == len(days) - 1 else "middle"
        at = width if anchor == "end" else x
        labels.append(Label(_r(at), height - 5, f"{days[index].day} {days[index]:%b}", anchor))
    return labels


def _marks(report: Report, days: Sequence[date], step: float, width: int) -> list[Mark]:
    phases: defaultdict[date, list[PhaseChange]] = defaultdict(list)
    for change in report.phase_changes:
        phases[change.timestamp.date()].append(change)
    marks: list[Mark] = []
    free = 0.0
    for day, changes in sorted(phases.items()):
        if day < days[0] or day > days[-1]:
            continue
        x = _LEFT + (day - days[0]).days * step
        text = plain(changes[-1].phase, 28)
        said = ", ".join(f"{one.timestamp:%H:%M} {plain(one.phase, 200)}" for one in changes)
        room = 7.0 * len(text)
        anchor = "end" if x + room > width else "start"
        left = x - room if anchor == "end" else x
        # A label with no room is left out; its line stays.
        fits = left >= free
        free = left + room + 8 if fits else free
        at = x - 4 if anchor == "end" else x + 4
        marks.append(
            Mark(
                _r(x),
                Label(_r(at), 12, text if fits else "", anchor),
                f"{day}: {said}",
            )
        )
    return marks


def _round_up(value: int) -> int:
    """Return an even number of one or two digits and noughts, no less than ``value``, or 1."""
    if value == 1:
        return 1
    size: int = 10 ** max(0, len(str(value)) - 2)
    steps = (2, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100)
    return next(size * step for step in steps if size * step >= value)


def _short(value: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return str(value)


def _r(value: float) -> float:
    return round(value, 2)
