"""How much of a time was observed: which moments a quiet record says anything about.

A moment is observed when as many shims were recording as should have been: as many as is said
(``--instances``), by number or by name.  Where nothing is said they are as many as recorded side by
side for an hour, in the window or in the 30 days before it; and whoever records in the window is
expected from then on, until it is stopped in order or another takes its place.  One that goes dark
may be passing calls on that nobody writes down, so the others do not stand in for it.

The record of a running shim is as fresh as its last heartbeat: at the end, and only there, the time
since counts as observed, if it is no longer than heartbeats may be late.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

from shim.clocks import LONGEST_SILENCE
from shim.ledger.evidence import Span
from shim.report.model import DayCoverage, Gap
from shim.settings.parsers import Instances

LOOKED_BACK: Final = timedelta(days=30)
"""How long before the window shims are remembered."""
MAY_MISS: Final = 0.001
"""The share of a time that may go unobserved: 20 minutes in 14 days, and a restart in a day."""
_SIDE_BY_SIDE: Final = timedelta(hours=1)
_LEAST_SLACK: Final = timedelta(seconds=1.5)


def in_percent(share: float) -> float:
    """Return a share, 0 to 1, in percent, rounded down: 100 is said of what is whole."""
    return math.floor(share * 10000 + 1e-6) / 100


@dataclass(frozen=True)
class Coverage:
    """The gaps between ``start`` and ``end``, in order and without overlap.

    ``expected`` is how many shims should have recorded, ``said`` whether somebody said so.
    """

    start: datetime
    end: datetime
    expected: int
    said: bool
    gaps: tuple[Gap, ...]

    @cached_property
    def pauses(self) -> tuple[Gap, ...]:
        """The gaps with those joined that follow each other at once, whoever was missing."""
        joined: list[Gap] = []
        for gap in self.gaps:
            if joined and joined[-1].end == gap.start:
                silent = dict.fromkeys((*joined[-1].silent, *gap.silent))
                joined[-1] = Gap(start=joined[-1].start, end=gap.end, silent=tuple(silent))
            else:
                joined.append(gap)
        return tuple(joined)

    @property
    def longest_gap(self) -> float:
        """Seconds; 0 without a gap."""
        return max((gap.seconds for gap in self.pauses), default=0.0)

    @property
    def share(self) -> float:
        """The observed share of the whole, 0 to 1."""
        return self.share_of(self.start, self.end)

    def share_of(self, start: datetime, end: datetime) -> float:
        """Return the observed share of a part of it, 0 to 1."""
        if end <= start:
            return 0.0
        dark = sum(
            (min(gap.end, end) - max(gap.start, start)).total_seconds()
            for gap in self.gaps
            if gap.start < end and gap.end > start
        )
        return 1 - dark / (end - start).total_seconds()

    def by_day(self) -> tuple[DayCoverage, ...]:
        """Return the share of each day (UTC) that it touches, of the part that it touches."""
        days = []
        day = self.start.astimezone(UTC).date()
        while (midnight := _midnight(day)) < self.end:
            following = day + timedelta(days=1)
            share = self.share_of(max(midnight, self.start), min(_midnight(following), self.end))
            days.append(DayCoverage(day=day, observed=share))
            day = following
        return tuple(days)


def observe(
    spans: Iterable[Span],
    start: datetime,
    end: datetime,
    *,
    beat: timedelta,
    instances: Instances | None = None,
) -> Coverage:
    """Work out what ``spans`` say about the time from ``start`` to ``end``.

    ``beat`` is how often shims give a sign, and ``instances`` what is said of how many should
    record, ``None`` where nothing is.
    """
    lives = list(_lives(spans, start - LOOKED_BACK, end, slack_of(end - start, beat)))
    names = instances if isinstance(instances, tuple) else ()
    if isinstance(instances, int):
        expected = instances
    else:
        expected = len(names) or max(1, _side_by_side(lives))
    gaps: list[Gap] = []
    for moment in _moments(lives, start, end):
        if names:
            missing = tuple(name for name in names if name not in moment.there)
            short = len(missing)
        else:
            # Unless it is said how many there are, whoever is there is expected from then on.
            needed = max(expected, moment.needed) if instances is None else expected
            short = needed - moment.there.total()
            missing = _missing(lives, moment, short) if short > 0 else ()
        if short <= 0:
            continue
        before = gaps[-1] if gaps else None
        if before is not None and before.end == moment.start and before.silent == missing:
            gaps[-1] = Gap(start=before.start, end=moment.end, silent=missing)
        else:
            gaps.append(Gap(start=moment.start, end=moment.end, silent=missing))
    return Coverage(start, end, expected, instances is not None, tuple(gaps))


def slack_of(window: timedelta, beat: timedelta) -> timedelta:
    """Return how old the last heartbeat of a shim that is up may be.

    Twice its interval, and for long windows up to two minutes; for very short ones half the window,
    so that a shim that was just killed does not pass for one that is up.
    """
    late = min(LONGEST_SILENCE, max(2 * beat, window / 20))
    return min(late, max(_LEAST_SLACK, window / 2))


class _Life(NamedTuple):
    """One process recorded from ``start`` to ``end``, and was ``stopped`` then or went dark."""

    start: datetime
    end: datetime
    instance: str
    stopped: bool


class _Moment(NamedTuple):
    """A time in which nothing changed: who was there, and how many are to be expected by that."""

    start: datetime
    end: datetime
    there: Counter[str]
    needed: int


def _lives(
    spans: Iterable[Span], start: datetime, end: datetime, slack: timedelta
) -> Iterator[_Life]:
    """Yield what lies between ``start`` and ``end``; who is up reaches to the end."""
    # A sign that is dated ahead, by another clock, is of nothing that has come.
    ordered = sorted(
        (span for span in spans if span.start <= end), key=lambda span: (span.start, span.end)
    )
    latest = {span.instance: span.start for span in ordered}
    for span in ordered:
        # What a clock ahead of ours says is cut off at now.
        begun, ended = max(span.start, start), min(span.end, end)
        if begun > ended:
            continue
        stopped = span.stopped and span.end <= end
        # Whoever began later is the same shim again; one that was up meanwhile is another.
        resumed = latest[span.instance] >= span.end and latest[span.instance] > span.start
        fresh = not stopped and not resumed and end - ended <= slack and span.end > span.start
        yield _Life(begun, end if fresh else ended, span.instance, stopped)


def _side_by_side(lives: Iterable[_Life]) -> int:
    """Return how many recorded at once for an hour or longer; short pauses do not count."""
    there = 0
    steps: list[tuple[datetime, int]] = []
    long = [life for life in lives if life.end > life.start]
    for at, change in sorted([(one.start, 1) for one in long] + [(one.end, -1) for one in long]):
        there += change
        steps.append((at, there))
    for level in range(max((count for _, count in steps), default=0), 0, -1):
        if _longest_at(steps, level) >= _SIDE_BY_SIDE:
            return level
    return 0


def _longest_at(steps: Sequence[tuple[datetime, int]], level: int) -> timedelta:
    """Return the longest time for which there were ``level`` or more, but for short pauses."""
    longest = timedelta()
    begun: datetime | None = None
    ended: datetime | None = None
    for (at, there), (until, _) in pairwise(steps):
        if there < level:
            continue
        if begun is None or ended is None or at - ended > LONGEST_SILENCE:
            begun = at
        ended = until
        longest = max(longest, ended - begun)
    return longest


def _moments(lives: Sequence[_Life], start: datetime, end: datetime) -> Iterator[_Moment]:
    """Yield the time from ``start`` to ``end`` in pieces."""
    # At one moment those that end make room for those that begin, and what has no length passes.
    changes = sorted(
        [(life.start, 1, life) for life in lives]
        + [(life.end, 0 if life.end > life.start else 2, life) for life in lives],
        key=lambda change: change[:2],
    )
    there: Counter[str] = Counter()
    needed = 0
    reached = start
    for at, what, life in changes:
        if at > reached:
            yield _Moment(reached, at, there.copy(), needed)
            reached = at
        if what == 1:
            there[life.instance] += 1
            needed = max(needed, there.total())
        else:
            there[life.instance] -= 1
            if there[life.instance] == 0:
                del there[life.instance]
            # What happened before the window is told by who was there when it began.
            if life.stopped or at <= start:
                needed = max(needed - 1, there.total())
    if reached < end:
        yield _Moment(reached, end, there, needed)


def _missing(lives: Sequence[_Life], moment: _Moment, count: int) -> tuple[str, ...]:
    """Return who is most likely to be missing: those that were there last, then those next."""
    before: dict[str, datetime] = {}
    after: dict[str, datetime] = {}
    for life in lives:
        if life.instance in moment.there:
            continue
        if life.end <= moment.start:
            before[life.instance] = max(life.end, before.get(life.instance, life.end))
        elif life.start >= moment.end:
            after[life.instance] = min(life.start, after.get(life.instance, life.start))
    if not before and not moment.there:
        # Nobody had been there yet.
        return ()
    likely = sorted(before, key=lambda name: (-before[name].timestamp(), name))
    likely += sorted((name for name in after if name not in before), key=lambda name: after[name])
    return tuple(sorted(likely[:count] or _twins(lives, moment)))


def _twins(lives: Sequence[_Life], moment: _Moment) -> set[str]:
    """Return the names that two had at once of whom one is left."""
    there = [one for one in lives if one.start <= moment.start and one.end >= moment.end]
    return {
        one.instance
        for one in there
        for other in lives
        if other.instance == one.instance and one.start < other.end <= moment.start
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
