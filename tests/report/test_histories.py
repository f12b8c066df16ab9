"""Tables of callers' days: what is a rhythm, a pause, a migration."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from shim.ledger.evidence import Evidence, merge
from shim.report.histories import Habit, habit_of
from shim.report.model import CallerReport, State
from shim.report.tallies import day_counts
from shim.route.policy import CallerEntry
from tests.support.samples import (
    DAY,
    HOUR,
    NOW,
    days_of,
    moved,
    recorded,
    report_of,
    up,
    use_sum,
    used,
)

EVERY_DAY = tuple(range(20, 60))
MONTHLY = (20, 50, 80, 110)
SECOND = timedelta(seconds=1)


def caller_of(*parts: Evidence, entry: CallerEntry | None = None) -> CallerReport:
    entries = [] if entry is None else [entry]
    (caller,) = report_of(merge(parts), entries=entries).callers
    return caller


def habit(*days_ago: float, uses: int | None = None) -> Habit:
    moments = sorted(NOW - ago * DAY for ago in days_ago)
    sums = [use_sum("a", *moments, count=len(moments) if uses is None else uses)]
    return habit_of(sums, [], day_counts(days_of("a", *moments)), NOW)


@pytest.mark.parametrize(
    ("days_ago", "interval"),
    [
        ((20, 50, 80), 30 * DAY),
        ((20, 50), None),
        ((20,), None),
        (EVERY_DAY, DAY),
        # Working days.
        ((1, 2, 3, 4, 5, 8, 9, 10, 11, 12), DAY),
        # Three days in a row each month.
        ((20, 21, 22, 50, 51, 52, 80, 81, 82), 30 * DAY),
        # Every day, but for one holiday.
        ((*range(10, 30), *range(60, 80)), DAY),
        ((0, 1, 31), 30 * DAY),
        # A weekly job that once was late.
        ((7, 14, 21, 31, 38), 7 * DAY),
        # Two days that meet at midnight.
        ((0.60, 0.61, 0.605), 0.01 * DAY),
        # Daily once, and monthly by now.
        ((*range(140, 240), 20, 50, 80, 110), 30 * DAY),
        # Two bursts, whatever the hour at which they begin.
        ((20, 21, 50, 51), 30 * DAY),
        ((20, 21, 22, 50, 51, 52), 30 * DAY),
        # Within one day.
        ((0.1, 0.2, 0.3, 0.4), 0.1 * DAY),
    ],
)
def test_the_rhythm_of_a_caller(days_ago: tuple[float, ...], interval: timedelta | None) -> None:
    found = habit(*days_ago).interval
    assert found == (interval if interval is None else pytest.approx(interval, abs=SECOND))


def test_two_calls_in_a_day_are_no_rhythm_and_many_in_one_day_are_one_of_that_day() -> None:
    assert habit(0.1, 0.4).interval is None
    assert habit(10.1, 10.4, uses=5).interval == pytest.approx(0.075 * DAY, abs=SECOND)


@pytest.mark.parametrize(
    ("quiet", "waited_for"), [(20, 60), (40, 60), (59.9, 60), (60, None), (90, None)]
)
def test_a_caller_is_gone_when_it_is_quiet_for_twice_its_rhythm(
    quiet: float, waited_for: int | None
) -> None:
    one = habit(quiet, quiet + 30, quiet + 60)
    until = None if waited_for is None else NOW + (waited_for - quiet) * DAY
    found = one.waited_for(NOW)
    assert found == (until if until is None else pytest.approx(until, abs=HOUR))


@pytest.mark.parametrize(
    ("days_ago", "waited_for"),
    [
        # Two weeks on and two weeks off, again and again.
        ([day + 15 + 28 * n for n in range(4) for day in range(14)], True),
        # A nightly job of working days, on a Sunday.
        ([2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20], True),
        ([4, 5, 6, 7, 8, 11, 12, 13, 14, 15], False),
        # A pause that happened once is no custom.
        ([*range(15, 30), *range(60, 90)], False),
    ],
)
def test_a_caller_is_waited_for_as_long_as_it_was_away_more_than_once(
    days_ago: list[int], waited_for: bool
) -> None:
    assert (habit(*days_ago).waited_for(NOW) is not None) == waited_for


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        # The daily kills have moved, the monthly purges have not.
        (
            [
                used("a", *range(20, 60), mode="kill"),
                used("a", 20.5, 50, 80, 110, mode="purge"),
                moved("a", *range(20), mode="kill"),
            ],
            State.QUIET,
        ),
        (
            [
                used("a", *range(20, 60), mode="kill"),
                used("a", 20.5, 50, 80, 110, mode="purge"),
                moved("a", *range(20), mode="kill"),
                moved("a", 1, mode="purge"),
            ],
            State.MIGRATED,
        ),
        ([used("a", 20, mode="purge"), moved("a", 1, 2, 3, mode="kill")], State.QUIET),
        ([used("a", 20, mode="purge"), moved("a", 1, mode="purge")], State.MIGRATED),
        ([used("a", 20, mode=None, decision="invalid"), moved("a", 1)], State.MIGRATED),
        # Tried by hand on the day after, when no old call was due.
        ([used("a", 20, 50, 80, times=100), moved("a", 19)], State.QUIET),
        ([used("a", 40, 70, 100, times=100), moved("a", 11)], State.MIGRATED),
        # Dated ahead: when that was nobody knows.
        ([used("a", 20, 50, 80), moved("a", -3)], State.QUIET),
    ],
)
def test_a_caller_has_moved_when_its_new_calls_come_in_place_of_the_old_ones(
    parts: list[Evidence], state: State
) -> None:
    assert caller_of(*parts).state is state


@pytest.mark.parametrize(
    ("used_on", "new_on", "state"),
    [
        ((0,), (), State.ACTIVE),
        ((6,), (), State.ACTIVE),
        ((6,), (5,), State.ACTIVE),
        ((7,), (), State.QUIET),
        ((30, 20), (1, 2, 3, 4, 5), State.MIGRATED),
        ((8, 7), (1, 2), State.MIGRATED),
        ((7, 0), (), State.ACTIVE),
        ((8, 0), (), State.CAME_BACK),
        ((20, 1, 0), (1, 2), State.CAME_BACK),
        ((), (1, 2), State.MIGRATED),
        # What is made every month is not back each time.
        ((2, 32, 62, 92), (), State.ACTIVE),
        ((2, 3, 62, 63, 64, 65), (), State.CAME_BACK),
        # One call in forty days is no migration of a daily job, but of a monthly one it is.
        (tuple(range(40, 80)), (20,), State.QUIET),
        (tuple(range(40, 80)), (20, 19, 18), State.MIGRATED),
        ((40, 70, 100), (10,), State.MIGRATED),
        # New calls from before the last old one replace nothing.
        ((20,), (30, 40), State.QUIET),
        # Both at once: another program of that name may make the new ones.
        ((20, 50, 80), (1, 10, 40, 60), State.QUIET),
        ((70, 100, 130), (1, 10, 40, 60, 101, 140), State.MIGRATED),
    ],
    ids=str,
)
def test_the_state_of_a_caller(
    used_on: tuple[int, ...], new_on: tuple[int, ...], state: State
) -> None:
    parts = [used("a", *used_on)] if used_on else []
    if new_on:
        parts.append(moved("a", *new_on))
    caller = caller_of(*parts)
    assert caller.state is state
    assert caller.days_quiet == (min(used_on) if used_on else None)
    assert caller.replacement_calls == len(new_on)


# Five calls that a server without the new endpoints had answered with 404 made a caller "migrated".
def test_new_calls_count_where_a_handler_answered_them() -> None:
    caller = caller_of(used("a", 20, 21), moved("a", 1, 2, 3, 4, 5, decision=None))
    assert (caller.state, caller.replacement_calls) == (State.QUIET, 0)


def test_a_caller_comes_back_by_its_own_rhythm_whatever_is_shown() -> None:
    whole = merge([used("a", 0, 30, 31, 32), recorded(up(NOW - 60 * DAY))])
    shown = merge([used("a", 0), recorded(up(NOW - 60 * DAY))])
    since = NOW - DAY
    (caller,) = report_of(whole, shown=shown, since=since).callers
    assert (caller.came_back, caller.state, caller.uses) == (True, State.CAME_BACK, 1)


@pytest.mark.parametrize(
    ("old", "new", "percent"),
    [
        ((20, 21), (1, 2, 3), 100),
        ((1, 2), (3, 4), 50),
        ((1, 2), (), 0),
        ((20,), (), None),
        ((1, 1.1, 2), (100, 101), 0),
    ],
)
def test_how_far_a_caller_has_moved_is_said_of_the_last_window(
    old: tuple[int, ...], new: tuple[int, ...], percent: int | None
) -> None:
    parts = [used("a", *old), *([moved("a", *new)] if new else [])]
    assert caller_of(*parts).moved_percent == percent


# The daily kills had moved, and the monthly purges went under in them.
def test_what_is_done_daily_does_not_hide_what_is_done_once_a_month() -> None:
    kills = [used("a", *range(20, 60), mode="kill"), moved("a", *range(20), mode="kill")]
    caller = caller_of(*kills, used("a", 20.5, 50.5, 80.5, mode="purge"))
    assert (caller.interval, caller.state) == (30 * DAY, State.QUIET)
    assert caller.due == NOW + 9.5 * DAY
    assert caller_of(*kills).due is None


@pytest.mark.parametrize(
    ("retired", "waited_for"),
    [
        (NOW.date() - 10 * DAY, False),
        (NOW.date() - 20 * DAY, False),
        (NOW.date(), False),
        (date(2026, 1, 1), True),
        # Its owner says that it will be gone: until then it is not.
        (NOW.date() + DAY, True),
    ],
)
def test_nobody_waits_for_a_caller_that_is_retired_unless_it_was_seen_since(
    retired: date, waited_for: bool
) -> None:
    entry = CallerEntry(match="a", retired=retired)
    caller = caller_of(used("a", *MONTHLY), entry=entry)
    assert (caller.due is not None) == waited_for
    assert caller.retired == retired


def test_the_day_that_is_due_is_said_as_long_as_it_is_waited_for() -> None:
    assert caller_of(used("a", *MONTHLY)).due == NOW + 10 * DAY
    assert caller_of(used("a", *EVERY_DAY)).due is None
