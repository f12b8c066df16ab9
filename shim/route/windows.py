"""Brownout windows: when they are, told in advance and answered in a few comparisons.

A window is half open, ``[start, end)``.  It is written as

* ``2026-12-01T10:00Z/PT30M`` or ``2026-12-01T10:00Z/2026-12-01T10:30Z`` (ISO 8601 intervals), or
* ``0 10 * * TUE/PT30M Europe/Berlin``: cron, duration and IANA time zone (without one: UTC).

Cron is Debian's: a start in the hour that daylight saving skips moves to that hour's end, one in
the hour that comes twice happens once, the first time.  Durations are elapsed time.

With jitter, windows by cron begin later by what is drawn for each, up to it: who calls at the same
minute every day is met by some of them.  The draw is the same on every shim, so that none refuses
what its neighbour serves, and all can be told in advance.  An interval stays as it is written.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from shim.moments import parse_iso_duration, parse_moment, rfc3339

_TAKES: Final = (
    "START/DURATION or START/END such as 2026-12-01T10:00Z/PT30M, or cron, duration and zone such "
    "as 0 10 * * TUE/PT30M Europe/Berlin"
)
_CRON: Final = re.compile(r"((?:\S+ +){4}\S+)/(P\S+)(?: +(\S+))?")
_LONGEST: Final = timedelta(days=7)
# Windows that follow each other without a gap are one, of so many at most: they may never end.
_MERGED_AT_MOST: Final = 1000


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From ``start`` (inside) to ``end`` (outside), both in UTC."""

    start: datetime
    end: datetime

    def as_json(self) -> dict[str, str]:
        """Return both, JSON-ready."""
        return {"start": rfc3339(self.start), "end": rfc3339(self.end)}


@dataclass(frozen=True, slots=True)
class Interval:
    """A window that happens once."""

    text: str
    window: Window

    def __str__(self) -> str:
        return self.text

    def starting(self, after: datetime) -> Iterator[Window]:
        """Yield the window if it ends after ``after``."""
        if self.window.end > after:
            yield self.window

    def rehearsed(self, start: datetime, end: datetime) -> Iterator[Window]:
        """Yield the window as it would be in each week of ``[start, end)``, latest first."""
        week = timedelta(weeks=1)
        shift = max(-((end - self.window.end) // week), 0) * week
        window = Window(self.window.start - shift, self.window.end - shift)
        if window != self.window:
            while window.start >= start:
                yield window
                window = Window(window.start - week, window.end - week)
        elif window.end > start:
            yield window


@dataclass(frozen=True, slots=True)
class Recurring:
    """Windows that begin by the clock on the wall of ``zone``."""

    text: str
    cron: str
    duration: timedelta
    zone: tzinfo
    jitter: timedelta = timedelta()

    def __str__(self) -> str:
        return self.text

    def starting(self, after: datetime) -> Iterator[Window]:
        """Yield, by time, the windows that end after ``after``."""
        begin = (after - self.duration - self.jitter).astimezone(self.zone)
        # Those that a delay has put behind the beginning of the next one.
        waiting: list[Window] = []
        for moment in CronSim(self.cron, begin):
            on_time = moment.astimezone(UTC)
            start = on_time + self._delay(on_time)
            # CronSim reads the clock on the wall: after that went back, it tells some of before.
            if start + self.duration > after:
                heapq.heappush(waiting, Window(start, start + self.duration))
            while waiting and waiting[0].start <= on_time:
                yield heapq.heappop(waiting)
        while waiting:
            yield heapq.heappop(waiting)

    def _delay(self, on_time: datetime) -> timedelta:
        """Draw how much later this window begins, in whole seconds up to the jitter."""
        if not self.jitter:
            return self.jitter
        part = _draw(f"{self.text} {on_time.isoformat()}".encode())
        return timedelta(seconds=int(part * (self.jitter.total_seconds() + 1)))

    def rehearsed(self, start: datetime, end: datetime) -> Iterator[Window]:
        """Yield the windows that overlap ``[start, end)``."""
        yield from takewhile(lambda window: window.start < end, self.starting(start))


Spec = Interval | Recurring


def parse_window(text: str) -> Spec:
    """Parse one window; raise ``ValueError`` with what it takes."""
    if match := _CRON.fullmatch(text):
        return _parse_cron(text, *match.groups())
    first, _, second = text.partition("/")
    try:
        start = parse_moment(first)
        iso = second.startswith("P")
        end = start + parse_iso_duration(second) if iso else parse_moment(second)
    except (ValueError, OverflowError):
        raise ValueError(_TAKES) from None
    if end <= start:
        raise ValueError("a window that ends after it starts")
    return Interval(text, Window(start, end))


def parse_share(text: str) -> float:
    """Parse ``10%``: a share above 0 and up to 1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ValueError("a share such as 10%, above 0% and up to 100%")
    return share


def drawn(invocation_id: bytes, share: float) -> bool:
    """Tell whether this invocation is in the share: every time, on every shim, the same."""
    return _draw(invocation_id) < share


def _draw(key: bytes) -> float:
    """Return a number from 0 up to 1 (outside), always the same for the same ``key``."""
    digest = hashlib.blake2b(key, digest_size=6).digest()
    return int.from_bytes(digest, "big") / (1 << 48)


class Schedule:
    """All windows together; remembers the one that is open or comes next."""

    def __init__(self, specs: tuple[Spec, ...], jitter: timedelta = timedelta()) -> None:
        self._specs = [
            replace(spec, jitter=jitter) if isinstance(spec, Recurring) else spec for spec in specs
        ]
        self._from = datetime.max.replace(tzinfo=UTC)
        self._next: Window | None = None

    def at(self, now: datetime) -> Window | None:
        """Return the window that ``now`` is in."""
        following = self._next
        # Before what was looked at (the clock was set back), or after it.
        if now < self._from or (following is not None and now >= following.end):
            self._from = now
            following = self._next = next(self.following(now), None)
        return following if following is not None and following.start <= now else None

    def following(self, after: datetime) -> Iterator[Window]:
        """Yield, by time, the windows that end after ``after``; those that touch are one."""
        return _merged(heapq.merge(*(spec.starting(after) for spec in self._specs)))

    def rehearsed(self, start: datetime, end: datetime) -> list[Window]:
        """Return the windows as they would have been in the past ``[start, end)``, by time."""
        found = (window for spec in self._specs for window in spec.rehearsed(start, end))
        return list(_merged(sorted(found)))


def _merged(windows: Iterable[Window]) -> Iterator[Window]:
    """Make one of those that overlap or touch; ``windows`` come by time and may never end."""
    current: Window | None = None
    parts = 1
    for window in windows:
        if current is None:
            current = window
        elif window.start <= current.end and parts < _MERGED_AT_MOST:
            current = Window(current.start, max(current.end, window.end))
            parts += 1
        else:
            yield current
            current, parts = window, 1
    if current is not None:
        yield current


def _parse_cron(text: str, cron: str, duration: str, zone: str | None) -> Recurring:
    try:
        length = parse_iso_duration(duration)
    except ValueError:
        length = timedelta()
    if not timedelta() < length <= _LONGEST:
        raise ValueError("a duration after the cron such as PT30M, up to P7D")
    try:
        where = ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"an IANA time zone such as Europe/Berlin, not {zone}") from None
    recurring = Recurring(text, cron, length, where)
    try:
        next(recurring.starting(datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{_TAKES} ({error})") from None
    except StopIteration:
        raise ValueError(f"{_TAKES} (this one never comes)") from None
    return recurring
