"""Tables for the verdict: windows, gaps, fleets, acknowledgements, clocks."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from shim.ledger.evidence import CallerFacts, Evidence, Kind, Span, merge
from shim.report.build import build_report
from shim.report.coverage import observe
from shim.report.model import State, Status
from shim.route.policy import CallerRule, Phase
from tests.support.samples import DAY, HOUR, NOW, days_of, up, use_sum

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WINDOW = 14 * DAY
LONG_AGO = NOW - 60 * DAY


def stopped(start: datetime, end: datetime, instance: str = "shim-a") -> Span:
    return Span(instance=instance, start=start, end=end, stopped=True)


@pytest.mark.parametrize(
    ("quiet", "window", "status", "code"),
    [
        (15 * DAY, 14 * DAY, Status.SAFE, 0),
        (14 * DAY + SECOND, 14 * DAY, Status.SAFE, 0),
        (14 * DAY, 14 * DAY, Status.IN_USE, 3),
        (14 * DAY - SECOND, 14 * DAY, Status.IN_USE, 3),
        (15 * DAY, 30 * DAY, Status.IN_USE, 3),
        (3 * HOUR, HOUR, Status.SAFE, 0),
        (timedelta(0), HOUR, Status.IN_USE, 3),
        (-HOUR, HOUR, Status.IN_USE, 3),
    ],
    ids=str,
)
def test_a_use_blocks_for_as_long_as_the_window(
    quiet: timedelta, window: timedelta, status: Status, code: int
) -> None:
    last = NOW - quiet
    evidence = Evidence(sums=[use_sum("ci-7", LONG_AGO, last)], spans=[up(LONG_AGO)])
    verdict = build_report(evidence, now=NOW, verdict_window=window).verdict
    assert (verdict.status, verdict.exit_code) == (status, code)
    assert verdict.last_use == last
    assert verdict.quiet_seconds == max(0, quiet.total_seconds())
    assert "ci-7" in verdict.reason


@pytest.mark.parametrize(
    ("spans", "status", "longest"),
    [
        ([], Status.UNPROVEN, WINDOW),
        ([up(LONG_AGO)], Status.SAFE, timedelta(0)),
        ([up(LONG_AGO, NOW - MINUTE)], Status.SAFE, timedelta(0)),
        ([up(LONG_AGO, NOW + HOUR)], Status.SAFE, timedelta(0)),
        ([up(LONG_AGO, NOW - 3 * MINUTE)], Status.UNPROVEN, 3 * MINUTE),
        ([stopped(LONG_AGO, NOW - 3 * MINUTE)], Status.UNPROVEN, 3 * MINUTE),
        ([up(NOW - 13 * DAY)], Status.UNPROVEN, DAY),
        ([up(LONG_AGO, NOW - 20 * DAY)], Status.UNPROVEN, WINDOW),
        ([up(LONG_AGO, NOW - 2 * DAY), up(NOW - 2 * DAY + MINUTE)], Status.SAFE, MINUTE),
        (
            [up(LONG_AGO, NOW - 2 * DAY), up(NOW - 2 * DAY + 121 * SECOND)],
            Status.UNPROVEN,
            121 * SECOND,
        ),
        (
            # 30 gaps of a minute: none is long, together they are more than 0.1 %.
            [up(NOW - (n + 1) * 12 * HOUR, NOW - n * 12 * HOUR - MINUTE) for n in range(1, 31)]
            + [up(NOW - 12 * HOUR)],
            Status.UNPROVEN,
            MINUTE,
        ),
    ],
    ids=[
        "no record at all",
        "up throughout",
        "a heartbeat ago",
        "a clock ahead of ours",
        "silent at the end",
        "stopped at the end",
        "began within the window",
        "ended before the window",
        "a quick restart",
        "a restart of more than two minutes",
        "many quick restarts",
    ],
)
def test_silence_counts_only_where_a_shim_was_recording(
    spans: list[Span], status: Status, longest: timedelta
) -> None:
    verdict = build_report(Evidence(spans=spans), now=NOW, verdict_window=WINDOW).verdict
    assert verdict.status is status
    assert verdict.longest_gap_seconds == longest.total_seconds()
    assert (verdict.observed_percent == 100) == (longest == timedelta(0))


def test_two_shims_of_one_name_do_not_stand_in_for_each_other() -> None:
    # Both had the host's name: what one recorded hid that the other had been killed.
    dark = Span(instance="host", start=LONG_AGO, end=NOW - HOUR)
    alive = Span(instance="host", start=LONG_AGO + HOUR, end=NOW)
    verdict = build_report(Evidence(spans=[dark, alive]), now=NOW, verdict_window=DAY).verdict
    assert (verdict.status, verdict.longest_gap_seconds) == (Status.UNPROVEN, 3600)
    again = Span(instance="host", start=NOW - HOUR + MINUTE, end=NOW)
    spans = [dark, again, alive]
    verdict = build_report(Evidence(spans=spans), now=NOW, verdict_window=DAY).verdict
    assert verdict.longest_gap_seconds == 60


@pytest.mark.parametrize(
    ("spans", "status", "named"),
    [
        ([up(LONG_AGO), up(LONG_AGO, instance="b")], Status.SAFE, ""),
        ([up(LONG_AGO), up(NOW - 2 * DAY, instance="b")], Status.SAFE, ""),
        ([up(LONG_AGO), up(LONG_AGO, NOW - 3 * DAY, "b")], Status.UNPROVEN, "b"),
        ([up(LONG_AGO), stopped(LONG_AGO, NOW - 3 * DAY, "b")], Status.SAFE, ""),
        ([up(LONG_AGO), up(LONG_AGO, NOW - 15 * DAY, "b")], Status.SAFE, ""),
        (
            [stopped(LONG_AGO, NOW - 3 * DAY), up(NOW - 3 * DAY - MINUTE, instance="b")],
            Status.SAFE,
            "",
        ),
        (
            [up(LONG_AGO), up(LONG_AGO, NOW - 5 * DAY, "b"), up(NOW - 4 * DAY, instance="b")],
            Status.UNPROVEN,
            "b",
        ),
        (
            [up(LONG_AGO), stopped(LONG_AGO, NOW - 5 * DAY, "b"), up(NOW - 4 * DAY, instance="b")],
            Status.SAFE,
            "",
        ),
    ],
    ids=[
        "all up",
        "one joined later",
        "one went dark",
        "one was stopped in order",
        "one went dark before the window",
        "a rolling replacement",
        "one was dark for a day",
        "one was stopped for a day",
    ],
)
def test_others_do_not_stand_in_for_a_shim_that_went_dark(
    spans: list[Span], status: Status, named: str
) -> None:
    verdict = build_report(Evidence(spans=spans), now=NOW, verdict_window=WINDOW).verdict
    assert verdict.status is status, verdict.reason
    assert (f"no sign of {named}" in verdict.reason) == bool(named)


@pytest.mark.parametrize(
    ("until", "status", "said"),
    [
        (date(2026, 12, 31), Status.SAFE, "Acknowledged and still using it: ci-7 until 2026-12-31"),
        # That day included, as it is written and as `until` has it.
        (date(2026, 11, 23), Status.SAFE, "Acknowledged"),
        (date(2026, 11, 22), Status.IN_USE, "acknowledgement of ci-7 ran out on 2026-11-22"),
        (date(2026, 1, 1), Status.IN_USE, "acknowledgement of ci-7 ran out on 2026-01-01"),
        (None, Status.IN_USE, "1 caller used the route"),
    ],
)
def test_an_acknowledged_caller_does_not_block_up_to_its_day(
    until: date | None, status: Status, said: str
) -> None:
    rules = [
        CallerRule(match="CI-*", acknowledged_until=date(2099, 1, 1)),
        CallerRule(match="ci-*", owner="platform", acknowledged_until=until),
        CallerRule(match="*", acknowledged_until=date(2099, 1, 1)),
    ]
    evidence = Evidence(sums=[use_sum("ci-7", NOW - HOUR)], spans=[up(LONG_AGO)])
    report = build_report(evidence, now=NOW, rules=rules)
    assert report.verdict.status is status
    assert said in report.verdict.reason
    assert report.callers[0].owner == "platform"


# The report had a matcher of its own, which did not look at `until`: the policy went by the second
# entry, the verdict by the first, and said "safe" of a caller whom nobody tolerated any more.
def test_an_entry_that_has_expired_lends_neither_owner_nor_acknowledgement() -> None:
    rules = [
        CallerRule(
            match="ci-*",
            owner="platform",
            note="PLAT-812",
            until=NOW.date() - DAY,
            acknowledged_until=NOW.date() + 30 * DAY,
        ),
        CallerRule(match="ci-*", owner="builds", phase=Phase.REJECT),
    ]
    evidence = Evidence(sums=[use_sum("ci-7", NOW - HOUR)], spans=[up(LONG_AGO)])
    report = build_report(evidence, now=NOW, rules=rules)
    (caller,) = report.callers
    assert (caller.owner, caller.note, caller.acknowledged_until) == ("builds", None, None)
    assert (report.verdict.status, report.verdict.exit_code) == (Status.IN_USE, 3)


@pytest.mark.parametrize(("days_left", "owner"), [(0, "platform"), (-1, None)])
def test_an_entry_holds_to_the_end_of_its_last_day(days_left: int, owner: str | None) -> None:
    until = NOW.date() + days_left * DAY
    rules = [CallerRule(match="ci-*", owner="platform", until=until)]
    evidence = Evidence(sums=[use_sum("ci-7", NOW - HOUR)], spans=[up(LONG_AGO)])
    (caller,) = build_report(evidence, now=NOW, rules=rules).callers
    assert caller.owner == owner


def test_an_acknowledged_caller_does_not_hide_another() -> None:
    rules = [CallerRule(match="a", acknowledged_until=date(2099, 1, 1))]
    sums = [use_sum("a", NOW), use_sum("b", NOW - DAY)]
    verdict = build_report(Evidence(sums=sums, spans=[up(LONG_AGO)]), now=NOW, rules=rules).verdict
    assert verdict.status is Status.IN_USE
    assert "b was last" in verdict.reason


def test_a_use_is_said_even_where_the_record_has_gaps() -> None:
    verdict = build_report(Evidence(sums=[use_sum("a", NOW)]), now=NOW).verdict
    assert verdict.exit_code == 3


def test_lost_records_are_no_proof() -> None:
    verdict = build_report(Evidence(spans=[up(LONG_AGO)]), now=NOW, lost=2).verdict
    assert verdict.status is Status.UNPROVEN
    assert "2 lines" in verdict.reason


@pytest.mark.parametrize(
    ("ago", "status"), [(timedelta(days=1), Status.UNPROVEN), (timedelta(days=30), Status.SAFE)]
)
def test_records_that_no_disk_has_taken_are_no_proof(ago: timedelta, status: Status) -> None:
    # The command line cannot see them; it said "safe" for as long as a restart may take.
    evidence = Evidence(spans=[up(LONG_AGO)], unwritten=[NOW - ago])
    assert build_report(evidence, now=NOW).verdict.status is status


def test_refused_calls_block_and_are_said_to_be_refused() -> None:
    sums = [use_sum("a", NOW, decision="refused", upstream_status=None)]
    verdict = build_report(Evidence(sums=sums, spans=[up(LONG_AGO)]), now=NOW).verdict
    assert verdict.status is Status.IN_USE
    assert "All of their calls were refused" in verdict.reason


def test_near_misses_and_new_calls_are_no_uses() -> None:
    sums = [
        use_sum("a", NOW, kind=Kind.NEAR_MISS, mode="wrong_method", decision=None),
        use_sum("a", NOW, kind=Kind.REPLACEMENT_CALL, decision=None),
    ]
    report = build_report(Evidence(sums=sums, spans=[up(LONG_AGO)]), now=NOW)
    assert report.verdict.status is Status.SAFE
    assert (report.totals.uses, report.totals.near_misses) == (0, 1)


def test_without_a_window_the_verdict_is_about_two_weeks_or_since() -> None:
    evidence = Evidence(sums=[use_sum("a", NOW - 10 * DAY)], spans=[up(LONG_AGO)])
    assert build_report(evidence, now=NOW).verdict.status is Status.IN_USE
    recent = build_report(Evidence(spans=[up(NOW - 7 * DAY)]), now=NOW, since=NOW - 7 * DAY)
    assert recent.verdict.status is Status.SAFE


def test_a_shim_that_was_just_killed_is_not_taken_for_one_that_is_up() -> None:
    spans = [up(LONG_AGO, NOW - 4 * SECOND)]
    verdict = build_report(Evidence(spans=spans), now=NOW, verdict_window=5 * SECOND).verdict
    assert verdict.status is Status.UNPROVEN


def test_100_percent_is_said_only_of_what_is_whole() -> None:
    spans = [up(LONG_AGO, NOW - DAY), up(NOW - DAY + SECOND)]
    verdict = build_report(Evidence(spans=spans), now=NOW, verdict_window=WINDOW).verdict
    assert verdict.observed_percent == 99.99
    assert verdict.status is Status.SAFE


@pytest.mark.parametrize(
    ("used", "new_calls", "state", "came_back"),
    [
        ([0], 0, State.ACTIVE, False),
        ([6], 0, State.ACTIVE, False),
        ([7], 0, State.QUIET, False),
        ([30, 20], 5, State.MIGRATED, True),
        ([8, 7], 5, State.MIGRATED, False),
        ([7, 0], 0, State.ACTIVE, False),
        ([8, 0], 0, State.CAME_BACK, True),
        ([20, 1, 0], 9, State.CAME_BACK, True),
        ([], 3, State.MIGRATED, False),
    ],
    ids=str,
)
def test_the_state_of_a_caller(
    used: list[int], new_calls: int, state: State, came_back: bool
) -> None:
    moments = [NOW - days * DAY for days in used]
    sums = [use_sum("a", *moments)] if moments else []
    if new_calls:
        sums.append(use_sum("a", NOW, kind=Kind.REPLACEMENT_CALL, count=new_calls, decision=None))
    evidence = Evidence(sums=sums, days=days_of("a", *moments))
    (caller,) = build_report(evidence, now=NOW).callers
    assert (caller.state, caller.came_back) == (state, came_back)
    assert caller.days_quiet == (min(used) if used else None)


def test_coverage_by_day_adds_up() -> None:
    start = NOW - 3 * DAY
    spans = [up(start, NOW - 2 * DAY), up(NOW - 1 * DAY)]
    coverage = observe(spans, start, NOW)
    assert [round(day.observed, 3) for day in coverage.by_day()] == [1, 0.604, 0.396, 1]
    assert coverage.share == pytest.approx(2 / 3)


def test_merged_ledgers_keep_the_facts_of_the_latest_use() -> None:
    old = Evidence(
        sums=[use_sum("a", NOW - DAY)],
        callers={"a": CallerFacts(user_agent="old", replacement=None)},
    )
    new = Evidence(
        sums=[use_sum("a", NOW)], callers={"a": CallerFacts(user_agent="new", replacement=None)}
    )
    for parts in ([old, new], [new, old]):
        merged = merge(parts)
        assert merged.callers["a"].user_agent == "new"
        assert build_report(merged, now=NOW).callers[0].uses == 2
