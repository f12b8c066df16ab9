"""The sums and days of a record, picked by what they count and added up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from typing import TypeVar

from shim.ledger.evidence import REACHED, DaySum, Kind, Sum
from shim.ledger.records import UNCLEAR
from shim.report.model import DayCount

_T = TypeVar("_T", Sum, DaySum)


def by_caller(tallies: Iterable[_T]) -> dict[str, list[_T]]:
    """Return each caller's; who sent what could not be read is an address and no caller."""
    found: defaultdict[str, list[_T]] = defaultdict(list)
    for one in tallies:
        if one.kind is not Kind.UNREADABLE and one.count:
            found[one.caller].append(one)
    return found


def count_of(sums: Iterable[Sum]) -> int:
    """Return how often all of it happened."""
    return sum(one.count for one in sums)


def uses_in(sums: Iterable[Sum]) -> list[Sum]:
    """Return the uses of the old route."""
    return [one for one in sums if one.kind is Kind.USE]


def new_calls_in(sums: Iterable[Sum]) -> list[Sum]:
    """Return the calls to the new endpoints that a handler answered."""
    return [one for one in sums if one.kind is Kind.REPLACEMENT_CALL and one.decision == REACHED]


def unreached_in(sums: Iterable[Sum]) -> list[Sum]:
    """Return the calls to the new endpoints that no handler answered."""
    return [one for one in sums if one.kind is Kind.REPLACEMENT_CALL and one.decision != REACHED]


def near_misses_in(sums: Iterable[Sum]) -> list[Sum]:
    """Return the near misses."""
    return [one for one in sums if one.kind is Kind.NEAR_MISS]


def mode_of(one: Sum | DaySum) -> str:
    """Return the mode that was asked for, as it is counted."""
    return one.mode or UNCLEAR


def day_counts(days: Iterable[DaySum]) -> list[DayCount]:
    """Return how many uses and new calls there were on each day that has any, by time."""
    uses: Counter[date] = Counter()
    new: Counter[date] = Counter()
    for one in days:
        if one.kind is Kind.USE:
            uses[one.day] += one.count
        elif one.kind is Kind.REPLACEMENT_CALL:
            new[one.day] += one.count
    return [
        DayCount(day=day, uses=uses[day], replacement_calls=new[day])
        for day in sorted({*uses, *new})
    ]
