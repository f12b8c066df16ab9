"""What the whole record tells of each caller: its rhythm, and whether it will be back.

A caller of three uses or more has a rhythm: the time that typically lies between two days on which
it uses the route, lately or over all, or between the bursts in which it does.  It is gone when it
has been quiet for clearly longer, which is twice that time, and for longer than any pause from
which it has come back more than once; when it has moved, which calls to the new endpoints show that
come at the time at which its old ones would have, in each of its modes; or when its owner says that
it is retired.  Until then its silence proves nothing, however short the verdict's window is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shim.ledger.evidence import DaySum, Evidence, Kind, Sum
from shim.ledger.records import OTHER, UNCLEAR, Decision
from shim.report.asked import Asked
from shim.report.model import DayCount, State
from shim.report.rhythm import CLEARLY_LONGER, gaps_of, has_come_back, rhythm
from shim.report.tallies import by_caller, count_of, day_counts, mode_of, new_calls_in, uses_in
from shim.route.policy import CallerEntry, entry_for

RECENT: Final = timedelta(days=7)
"""How long ago the last use of an active caller is at most."""
_LEAST_USES: Final = 3
# Nobody knows how often each of those past the cap calls: a month is what a job's pause may be.
_OTHERS_INTERVAL: Final = timedelta(days=30)
# What shows that a caller has moved: half of the calls that were due since, but not for ever more.
_MOST_ASKED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a caller uses the route, in one mode or over all.

    ``new_calls`` are those to the new endpoints since its ``last_use`` that a handler answered, and
    ``last_new`` the latest.  ``interval`` is its rhythm, ``None`` where it has none, and ``pause``
    the longest silence that it has come back from more than once.  ``makes_both`` tells that it
    made new calls already while it went on making old ones.
    """

    last_use: datetime | None
    last_new: datetime | None
    interval: timedelta | None
    pause: timedelta
    new_calls: int
    makes_both: bool

    @property
    def due(self) -> datetime | None:
        """About when it is to call again, ``None`` where it has no rhythm."""
        if self.last_use is None or self.interval is None:
            return None
        return self.last_use + self.interval

    def moved(self, now: datetime) -> bool:
        """Tell whether new calls come in place of the old ones."""
        if self.last_use is None or self.interval is None or not self.interval:
            return self.new_calls > 0
        due = (now - self.last_use) / self.interval
        if self.makes_both and due <= CLEARLY_LONGER:
            # Several programs share its name, perhaps; new calls say nothing of the old ones then.
            return False
        if self.last_new is None or self.last_new < self.last_use + self.interval / 2:
            # Tried once, when no old call was due.
            return False
        return self.new_calls >= min(_MOST_ASKED, max(1, math.ceil(due / 2)))

    def waited_for(self, now: datetime) -> datetime | None:
        """Return until when it has to be quiet to be gone, or ``None`` where it is."""
        if self.last_use is None or self.interval is None or self.moved(now):
            return None
        until = self.last_use + max(CLEARLY_LONGER * self.interval, self.pause)
        return until if until > now else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One caller on the whole record, whatever part of it is shown.

    Its habit is looked at over all and in each of its ``modes``: what it does daily must not hide
    what it does once a month.  ``days`` are over all.  ``entry`` is the one that counts
    now: what its owner says.
    """

    caller: str
    days: Sequence[DayCount]
    whole: Habit
    modes: Sequence[Habit]
    came_back: bool
    only_refused: bool
    entry: CallerEntry

    @property
    def last_use(self) -> datetime | None:
        """When it last used the old route."""
        return self.whole.last_use

    def is_acknowledged(self, now: datetime) -> bool:
        """Tell whether it is tolerated today: up to the day named, that day included."""
        until = self.entry.acknowledged_until
        return until is not None and now.date() <= until

    def is_retired(self, now: datetime) -> bool:
        """Tell whether its owner says that it is gone by now, and nothing speaks against it."""
        since = self.entry.retired
        if since is None or since > now.date():
            return False
        return self.last_use is None or self.last_use.date() <= since

    def moved(self, now: datetime) -> bool:
        """Tell whether it makes the new calls in place of the old ones, in each of its modes."""
        each = all(mode.new_calls for mode in self.modes if mode.last_use is not None)
        return each and self.whole.moved(now)

    def state(self, now: datetime) -> State:
        """Return where it stands: quiet is whoever made no use for a week and has not moved."""
        if self.last_use is not None and now - self.last_use < RECENT:
            return State.CAME_BACK if self.came_back else State.ACTIVE
        return State.MIGRATED if self.moved(now) else State.QUIET

    def waited_for(self, now: datetime) -> datetime | None:
        """Return until when it has to be quiet to be gone, or ``None`` where it is."""
        return None if self.is_retired(now) else self.habit(now).waited_for(now)

    def habit(self, now: datetime) -> Habit:
        """Return the habit that it is waited for longest by; over all, where it is by none."""
        waited = [(one.waited_for(now), one) for one in (self.whole, *self.modes)]
        longest = max((until for until, _ in waited if until is not None), default=None)
        return next((one for until, one in waited if until == longest), self.whole)


def histories_of(evidence: Evidence, asked: Asked) -> dict[str, History]:
    """Return the history of each caller on record, by name."""
    days = by_caller(evidence.days)
    return {
        caller: _history(caller, sums, days.get(caller, []), asked)
        for caller, sums in by_caller(evidence.sums).items()
    }


def _history(caller: str, sums: Sequence[Sum], days: Sequence[DaySum], asked: Asked) -> History:
    now, uses, new, counts = asked.now, uses_in(sums), new_calls_in(sums), day_counts(days)
    whole = habit_of(uses, new, counts, now)
    entry = entry_for(asked.entries, caller, now)
    if caller == OTHER:
        # They are nobody in particular, whom nobody can speak for.
        entry = None
        if whole.last_use is not None:
            interval = max(whole.interval or _OTHERS_INTERVAL, _OTHERS_INTERVAL)
            whole = replace(whole, interval=interval)
    return History(
        caller=caller,
        days=counts,
        whole=whole,
        modes=[_habit_in(mode, uses, new, days, now) for mode in sorted({*map(mode_of, uses)})],
        came_back=has_come_back(gaps_of(counts)),
        only_refused=all(one.decision == Decision.REFUSED for one in uses),
        entry=entry or CallerEntry(match=caller),
    )


def _habit_in(
    mode: str, uses: Sequence[Sum], new: Sequence[Sum], days: Sequence[DaySum], now: datetime
) -> Habit:
    """Read the habit of one mode: any new call may be what an unclear old one meant."""
    unclear = mode == UNCLEAR
    return habit_of(
        [one for one in uses if mode_of(one) == mode],
        [one for one in new if unclear or mode_of(one) == mode],
        day_counts(
            one
            for one in days
            if mode_of(one) == mode or (unclear and one.kind is Kind.REPLACEMENT_CALL)
        ),
        now,
    )


def habit_of(
    uses: Sequence[Sum], new: Sequence[Sum], days: Sequence[DayCount], now: datetime
) -> Habit:
    """Read the habit that ``uses`` and ``new`` calls show, and ``days``, which come by time."""
    first = min((one.first for one in uses), default=None)
    last = max((one.last for one in uses), default=None)
    # One that is dated ahead tells nothing of when it was made.
    last_new = max((min(one.last, now) for one in new if one.first <= now), default=None)
    gaps = gaps_of(days)
    interval = None
    if first is not None and last is not None and (count := count_of(uses)) >= _LEAST_USES:
        # Two days that meet at midnight are no day apart.
        typical = timedelta(days=rhythm(gaps)) if gaps else (last - first) / (count - 1)
        interval = min(typical, last - first)
    new_calls = sum(
        day.replacement_calls
        for day in days
        if day.day <= now.date()
        and (
            last is None
            or day.day > last.date()
            or (day.day == last.date() and last_new is not None and last_new > last)
        )
    )
    makes_both = False
    if last is not None and interval is not None:
        earlier = (last - interval).date()
        makes_both = any(day.replacement_calls and day.day < earlier for day in days)
    return Habit(
        last_use=last,
        last_new=last_new,
        interval=interval,
        pause=timedelta(days=sorted(gaps)[-2] + 1) if len(gaps) > 1 else timedelta(),
        new_calls=new_calls,
        makes_both=makes_both,
    )


def last_use_of(one: History) -> datetime:
    """Return when one that has used the old route last did."""
    assert one.last_use is not None
    return one.last_use
