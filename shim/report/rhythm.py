"""Rhythms: what is typical for the days that lie between those on which a caller calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate, pairwise
from statistics import median
from typing import Final

from shim.report.model import DayCount

CLEARLY_LONGER: Final = 2
"""How many times as long as is typical a silence is that says something."""
QUIET_GAP: Final = timedelta(days=7)
"""How long a caller that came back was away at least."""
# How many of the latest intervals show a rhythm that is new.
_LATELY: Final = 5
# How many times as long as a burst the time between two is.
_SHORT: Final = 3


def gaps_of(days: Sequence[DayCount]) -> list[int]:
    """Return the days from each day with uses to the next."""
    used = [day.day for day in days if day.uses]
    return [(after - day).days for day, after in pairwise(used)]


def rhythm(gaps: Sequence[int]) -> float:
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


def has_come_back(gaps: Sequence[int]) -> bool:
    """Tell whether the longest gap is a pause, by the rhythm that the others show."""
    if not gaps:
        return False
    *others, longest = sorted(gaps)
    if longest <= QUIET_GAP.days:
        return False
    return not others or longest > CLEARLY_LONGER * _typical(others)
