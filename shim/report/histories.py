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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate, pairwise
from statistics import median
from typing import Final

from shim.ledger.records import OTHER
from shim.report.model import DayCount, State
from shim.route.policy import CallerRule

RECENT: Final = timedelta(days=7)
"""How long ago the last use of an active caller is at most."""
QUIET_GAP: Final = timedelta(days=7)
"""How long a caller that came back was away at least."""
CLEARLY_LONGER: Final = 2
_LEAST_USES: Final = 3
# Nobody knows how often each of those past the cap calls: a month is what a job's pause may be.
_OTHERS_INTERVAL: Final = timedelta(days=30)
# What shows that a caller has moved: half of the calls that were due since, but not for ever more.
_MOST_ASKED: Final = 3
# How many of the latest intervals show a rhythm that is new.
_LATELY: Final = 5
# How many times as long as a burst the time between two is.
_SHORT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """When a caller last made old calls, and new ones that a handler answered, of one mode."""

    last_use: datetime | None = None
    last_new: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One caller on the whole record, whatever part of it is shown.

    ``uses`` are those of the old route, ``new_calls`` those to the new endpoints since its last
    use.  ``interval`` is its rhythm, ``None`` where it has none, and ``pause`` the longest silence
    that it has come back from more than once.  ``makes_both`` tells that it made new calls already
    while it went on making old ones; ``ways`` are by mode.  What its owner says is that of the
    ``[[caller]]`` entry that counts now.
    """

    caller: str
    uses: int
    last_use: datetime | None
    interval: timedelta | None
    pause: timedelta
    came_back: bool
    new_calls: int
    makes_both: bool
    ways: Mapping[str, Way]
    only_refused: bool
    owner: str | None
    acknowledged_until: date | None
    retired_since: date | None

    def is_acknowledged(self, now: datetime) -> bool:
        """Tell whether it is tolerated today: up to the day named, that day included."""
        return self.acknowledged_until is not None and now.date() <= self.acknowledged_until

    def is_retired(self, now: datetime) -> bool:
        """Tell whether its owner says that it is gone by now, and nothing speaks against it."""
        since = self.retired_since
        if since is None or since > now.date():
            return False
        return self.last_use is None or self.last_use.date() <= since

    def moved(self, now: datetime) -> bool:
        """Tell whether it makes the new calls in place of the old ones."""
        if self.last_use is None:
            return self.new_calls > 0
        if not self.new_calls or not all(_has_moved(way) for way in self.ways.values()):
            return False
        if not self.interval:
            return True
        due = (now - self.last_use) / self.interval
        if self.makes_both and due <= CLEARLY_LONGER:
            # Several programs share its name, perhaps; new calls say nothing of the old ones then.
            return False
        latest = max((way.last_new for way in self.ways.values() if way.last_new), default=None)
        if latest is None or latest < self.last_use + self.interval / 2:
            # Tried once, when no old call was due.
            return False
        return self.new_calls >= min(_MOST_ASKED, max(1, math.ceil(due / 2)))

    def state(self, now: datetime) -> State:
        """Return where it stands: quiet is whoever made no use for a week and has not moved."""
        if self.last_use is not None and now - self.last_use < RECENT:
            return State.CAME_BACK if self.came_back else State.ACTIVE
        return State.MIGRATED if self.moved(now) else State.QUIET

    def waited_for(self, now: datetime) -> datetime | None:
        """Return until when it has to be quiet to be gone, or ``None`` where it is."""
        if self.last_use is None or self.interval is None:
            return None
        if self.is_retired(now) or self.moved(now):
            return None
        until = self.last_use + max(CLEARLY_LONGER * self.interval, self.pause)
        return until if until > now else None

    @property
    def due(self) -> datetime | None:
        """When its rhythm says that it is to be back."""
        if self.last_use is None or self.interval is None:
            return None
        return self.last_use + self.interval


def _has_moved(way: Way) -> bool:
    if way.last_use is None:
        return True
    return way.last_new is not None and way.last_new > way.last_use


def history_of(
    caller: str,
    days: Sequence[DayCount],
    *,
    now: datetime,
    uses: int,
    first: datetime | None,
    ways: Mapping[str, Way],
    only_refused: bool,
    rule: CallerRule | None,
) -> History:
    """Read a caller's ``days``, in order; ``first`` is the moment of its first use.

    Those past the cap are nobody in particular, whom nobody can speak for: no ``rule`` is theirs.
    """
    used = [day.day for day in days if day.uses]
    gaps = [(after - day).days for day, after in pairwise(used)]
    last = max((way.last_use for way in ways.values() if way.last_use), default=None)
    last_new = max((way.last_new for way in ways.values() if way.last_new), default=None)
    interval = None
    if first is not None and last is not None and uses >= _LEAST_USES:
        # Two days that meet at midnight are no day apart.
        typical = timedelta(days=_rhythm(gaps)) if gaps else (last - first) / (uses - 1)
        interval = min(typical, last - first)
    if caller == OTHER and uses:
        interval = max(interval or _OTHERS_INTERVAL, _OTHERS_INTERVAL)
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
    return History(
        caller=caller,
        uses=uses,
        last_use=last,
        interval=interval,
        pause=timedelta(days=sorted(gaps)[-2] + 1) if len(gaps) > 1 else timedelta(),
        came_back=_came_back(gaps),
        new_calls=new_calls,
        makes_both=makes_both,
        ways=ways,
        only_refused=only_refused,
        owner=rule.owner if rule else None,
        acknowledged_until=rule.acknowledged_until if rule else None,
        retired_since=rule.retired if rule else None,
    )


def _rhythm(gaps: Sequence[int]) -> float:
    """Return the longest interval that is typical for ``gaps``, in days; there is one at least.

    Over all of them; for the latest, because what was daily may be monthly by now; and between
    bursts, where it calls on a few days in a row and then not for long.
    """
    return max(_typical(gaps), _typical(gaps[-_LATELY:]), _between_bursts(gaps))


def _typical(gaps: Sequence[int]) -> float:
    """Return the interval that is typical for ``gaps``.

    The median alone would take a job that runs on three days each month for a daily one; so it is
    at least the interval in which half of the time went by.  The longest gap is left out of that:
    what happened once is no rhythm.
    """
    often = median(gaps)
    longer = sorted(gaps)[:-1]
    passed = list(accumulate(longer))
    for gap, so_far in zip(longer, passed, strict=True):
        if 2 * so_far >= passed[-1]:
            return max(often, gap)
    return often


def _between_bursts(gaps: Sequence[int]) -> float:
    """Return the typical time between bursts, 0 where there are none.

    A burst is some days in a row that are few beside the days until the next.
    """
    lengths, between = [1], []
    for gap in gaps:
        if gap == 1:
            lengths[-1] += 1
        else:
            between.append(gap + lengths[-1] - 1)
            lengths.append(1)
    if not between or _SHORT * max(lengths) > median(between):
        return 0
    return _typical(between)


def _came_back(gaps: Sequence[int]) -> bool:
    """Tell whether the longest gap is a pause, by the rhythm that the others show."""
    if not gaps:
        return False
    *others, longest = sorted(gaps)
    if longest <= QUIET_GAP.days:
        return False
    return not others or longest > CLEARLY_LONGER * _typical(others)
