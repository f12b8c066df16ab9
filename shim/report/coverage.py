"""How much of a time was observed: which moments a quiet record says anything about.

A moment is observed when at least one shim was recording and no shim was silent that ought to
have been recording.  A shim ought to record from its first sign of life in the window on, until it
is stopped in order; one that goes dark may be passing calls on that nobody writes down, so the
others do not stand in for it.  The record of a running shim is as fresh as its last heartbeat:
at the end, and only there, a heartbeat may be ``slack`` old.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from shim.ledger.evidence import HEARTBEAT_SLACK, Span
from shim.report.model import DayCoverage, Gap

# The ledger takes a heartbeat every second.
_LEAST_SLACK: Final = timedelta(seconds=1.5)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The gaps between ``start`` and ``end``, in order and without overlap."""

    start: datetime
    end: datetime
    gaps: tuple[Gap, ...]

    @property
    def longest_gap(self) -> float:
        """Seconds; 0 without a gap."""
        return max((gap.seconds for gap in self.gaps), default=0.0)

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
        """Return the share of each day (UTC) that it touches."""
        days = []
        day = self.start.astimezone(UTC).date()
        while (midnight := _midnight(day)) < self.end:
            following = day + timedelta(days=1)
            share = self.share_of(max(midnight, self.start), min(_midnight(following), self.end))
            days.append(DayCoverage(day=day, observed=share))
            day = following
        return tuple(days)


def observe(spans: Iterable[Span], start: datetime, end: datetime) -> Coverage:
    """Work out what ``spans`` say about the time from ``start`` to ``end``.

    For windows shorter than four minutes the slack is half the window, so that a shim that was
    just killed does not pass for one that is up.
    """
    slack = min(HEARTBEAT_SLACK, max(_LEAST_SLACK, (end - start) / 2))
    up: list[tuple[datetime, datetime]] = []
    dark: list[tuple[datetime, datetime, str]] = []
    for instance, own in sorted(_by_instance(spans, start, end).items()):
        starts = [begun for begun, _, _ in own]
        for begun, reached, stopped in own:
            # Whoever began later is the same shim again; one that was up meanwhile is another.
            at = bisect_left(starts, reached)
            resumed = next((one for one in starts[at:] if one > begun), None)
            fresh = resumed is None and not stopped and end - reached <= slack
            ended = end if fresh else reached
            up.append((begun, ended))
            if not stopped and ended < (resumed or end):
                dark.append((ended, resumed or end, instance))
    dark.extend((begun, ended, "") for begun, ended in _outside(up, start, end))
    return Coverage(start, end, _gaps(dark))


def _by_instance(
    spans: Iterable[Span], start: datetime, end: datetime
) -> dict[str, list[tuple[datetime, datetime, bool]]]:
    """Return each instance's spans within the window, by their start, with how they ended."""
    found: dict[str, list[tuple[datetime, datetime, bool]]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start):
        # What a clock ahead of ours says is cut off at now.
        begun, ended = max(span.start, start), min(span.end, end)
        if begun <= ended:
            found[span.instance].append((begun, ended, span.stopped and span.end <= end))
    return found


def _outside(
    up: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime
) -> Iterable[tuple[datetime, datetime]]:
    reached = start
    for begun, ended in sorted(up):
        if begun > reached:
            yield reached, begun
        reached = max(reached, ended)
    if reached < end:
        yield reached, end


def _gaps(dark: Iterable[tuple[datetime, datetime, str]]) -> tuple[Gap, ...]:
    """Join overlapping dark times; keep who was silent in each."""
    gaps: list[Gap] = []
    for begun, ended, instance in sorted(dark):
        silent = {instance} - {""}
        if gaps and begun <= gaps[-1].end:
            before = gaps[-1]
            gaps[-1] = Gap(
                start=before.start,
                end=max(before.end, ended),
                silent=tuple(sorted(silent.union(before.silent))),
            )
        else:
            gaps.append(Gap(start=begun, end=ended, silent=tuple(sorted(silent))))
    return tuple(gaps)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
