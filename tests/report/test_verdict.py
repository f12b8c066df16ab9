"""Tables for the verdict: windows, gaps, fleets, acknowledgements, clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from shim.ledger.evidence import CallerFacts, Evidence, Kind, Traffic, merge
from shim.report.model import Status
from shim.report.words import headline
from shim.route.policy import CallerEntry, Phase
from tests.support.samples import DAY, HOUR, NOW, moved, recorded, report_of, up, use_sum, used

SECOND = timedelta(seconds=1)
WINDOW = 14 * DAY
LONG_AGO = NOW - 60 * DAY


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
    verdict = report_of(evidence, window=window).verdict
    assert (verdict.status, verdict.exit_code) == (status, code)
    assert verdict.last_use == last
    assert verdict.quiet_seconds == max(0, quiet.total_seconds())
    assert "ci-7" in verdict.reason


@pytest.mark.parametrize(
    ("until", "status", "said"),
    [
        (date(2026, 12, 31), Status.ACKNOWLEDGED, "are acknowledged: ci-7 until 2026-12-31"),
        # That day included, as it is written and as `until` has it.
        (date(2026, 11, 23), Status.ACKNOWLEDGED, "Removing it breaks those who are acknowledged"),
        (date(2026, 11, 22), Status.IN_USE, "acknowledgement of ci-7 ran out on 2026-11-22"),
        (date(2026, 1, 1), Status.IN_USE, "acknowledgement of ci-7 ran out on 2026-01-01"),
        (None, Status.IN_USE, "1 caller used the route"),
    ],
)
def test_an_acknowledged_caller_does_not_block_up_to_its_day(
    until: date | None, status: Status, said: str
) -> None:
    entries = [
        CallerEntry(match="CI-*", acknowledged_until=date(2099, 1, 1)),
        CallerEntry(match="ci-*", owner="platform", acknowledged_until=until),
        CallerEntry(match="*", acknowledged_until=date(2099, 1, 1)),
    ]
    evidence = Evidence(sums=[use_sum("ci-7", NOW - HOUR)], spans=[up(LONG_AGO)])
    report = report_of(evidence, entries=entries)
    assert report.verdict.status is status
    assert said in report.verdict.reason
    assert report.callers[0].owner == "platform"


# The report had a matcher of its own, which did not look at `until`: the policy went by the second
# entry, the verdict by the first, and said "safe" of a caller whom nobody tolerated any more.
def test_an_entry_that_has_expired_lends_neither_owner_nor_acknowledgement() -> None:
    entries = [
        CallerEntry(
            match="ci-*",
            owner="platform",
            note="PLAT-812",
            until=NOW.date() - DAY,
            acknowledged_until=NOW.date() + 30 * DAY,
        ),
        CallerEntry(match="ci-*", owner="builds", phase=Phase.REJECT),
    ]
    evidence = Evidence(sums=[use_sum("ci-7", NOW - HOUR)], spans=[up(LONG_AGO)])
    report = report_of(evidence, entries=entries)
    (caller,) = report.callers
    assert (caller.owner, caller.note, caller.acknowledged_until) == ("builds", None, None)
    assert (report.verdict.status, report.verdict.exit_code) == (Status.IN_USE, 3)


@pytest.mark.parametrize(("days_left", "owner"), [(0, "platform"), (-1, None)])
def test_an_entry_holds_to_the_end_of_its_last_day(days_left: int, owner: str | None) -> None:
    until = NOW.date() + days_left * DAY
    entries = [CallerEntry(match="ci-*", owner="platform", until=until)]
    evidence = Evidence(sums=[use_sum("ci-7", NOW - HOUR)], spans=[up(LONG_AGO)])
    (caller,) = report_of(evidence, entries=entries).callers
    assert caller.owner == owner


def test_an_acknowledged_caller_does_not_hide_another() -> None:
    entries = [CallerEntry(match="a", acknowledged_until=date(2099, 1, 1))]
    sums = [use_sum("a", NOW), use_sum("b", NOW - DAY)]
    verdict = report_of(Evidence(sums=sums, spans=[up(LONG_AGO)]), entries=entries).verdict
    assert verdict.status is Status.IN_USE
    assert "b was last" in verdict.reason


def test_a_use_is_said_even_where_the_record_has_gaps() -> None:
    verdict = report_of(Evidence(sums=[use_sum("a", NOW)])).verdict
    assert verdict.exit_code == 3


def test_lost_records_are_no_proof() -> None:
    verdict = report_of(Evidence(spans=[up(LONG_AGO)]), lost=2).verdict
    assert verdict.status is Status.UNPROVEN
    assert "2 lines" in verdict.reason


@pytest.mark.parametrize(
    ("ago", "status"), [(timedelta(days=1), Status.UNPROVEN), (timedelta(days=30), Status.SAFE)]
)
def test_records_that_no_disk_has_taken_are_no_proof(ago: timedelta, status: Status) -> None:
    # The command line cannot see them; it said "safe" for as long as a restart may take.
    evidence = Evidence(spans=[up(LONG_AGO)], unwritten=[NOW - ago])
    assert report_of(evidence).verdict.status is status


def test_refused_calls_block_and_are_said_to_be_refused() -> None:
    sums = [use_sum("a", NOW, decision="refused", upstream_status=None)]
    verdict = report_of(Evidence(sums=sums, spans=[up(LONG_AGO)])).verdict
    assert verdict.status is Status.IN_USE
    assert "All of their calls were refused" in verdict.reason


def test_near_misses_and_new_calls_are_no_uses() -> None:
    sums = [
        use_sum("a", NOW, kind=Kind.NEAR_MISS, mode="wrong_method", decision=None),
        use_sum("a", NOW, kind=Kind.REPLACEMENT_CALL, decision=None),
    ]
    report = report_of(Evidence(sums=sums, spans=[up(LONG_AGO)]))
    assert report.verdict.status is Status.SAFE
    assert (report.totals.uses, report.totals.near_misses) == (0, 1)


# `report --since 5m` two hours after a use was green: what is shown cut the verdict's window short.
def test_what_is_shown_does_not_change_what_the_verdict_is_about() -> None:
    whole = merge([used("a", 10), recorded(up(LONG_AGO))])
    shown = recorded(up(LONG_AGO))
    report = report_of(whole, shown=shown, since=NOW - DAY)
    assert report.verdict.status is Status.IN_USE
    assert report.verdict.window == WINDOW
    assert (report.callers, report.totals.uses) == ((), 0)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (14 * DAY, "Safe to remove"),
        (7 * DAY, "Safe to remove"),
        (6 * DAY, "Safe to remove, by the last 6 days alone"),
        (5 * 60 * SECOND, "Safe to remove, by the last 5 min alone"),
    ],
)
def test_a_short_window_is_said_in_the_headline(window: timedelta, said: str) -> None:
    report = report_of(recorded(up(LONG_AGO)), window=window)
    assert headline(report.verdict) == said


def test_a_shim_that_was_just_killed_is_not_taken_for_one_that_is_up() -> None:
    spans = [up(LONG_AGO, NOW - 4 * SECOND)]
    verdict = report_of(Evidence(spans=spans), window=5 * SECOND).verdict
    assert verdict.status is Status.UNPROVEN


def test_100_percent_is_said_only_of_what_is_whole() -> None:
    spans = [up(LONG_AGO, NOW - DAY), up(NOW - DAY + SECOND)]
    verdict = report_of(Evidence(spans=spans), window=WINDOW).verdict
    assert verdict.observed_percent == 99.99
    assert verdict.status is Status.SAFE


FOREVER = up(LONG_AGO)
ACKNOWLEDGED = CallerEntry(match="ci-*", owner="ci", acknowledged_until=date(2027, 1, 31))


def hours_of(instance: str, requests: int | None, days: int = 70) -> list[Traffic]:
    """What a shim that counts carried, all of it in the last hour."""
    hours = [NOW.replace(minute=0) - n * HOUR for n in range(24 * days)]
    counted = [(hours[0], requests or 0), *((hour, 0) for hour in hours[1:])]
    return [Traffic(instance=instance, hour=hour, requests=count) for hour, count in counted]


STORIES: dict[str, tuple[list[Evidence], dict[str, Any], Status, str]] = {
    "a nightly job was switched off three weeks ago": (
        [used("nightly", *range(21, 50)), recorded(FOREVER)],
        {},
        Status.SAFE,
        "Nobody used the route for 21 days",
    ),
    "a job of every 30 days ran 20 days ago": (
        [used("monthly", 20, 50, 80), recorded(FOREVER)],
        {},
        Status.UNPROVEN,
        "monthly, which calls every 30 days or so, is due again about 2026-12-03",
    ),
    "that job has been silent for 40 days": (
        [used("monthly", 40, 70, 100), recorded(FOREVER)],
        {},
        Status.UNPROVEN,
        "was due again about 2026-11-13",
    ),
    "that job has been silent for twice as long as ever": (
        [used("monthly", 61, 91, 121), recorded(FOREVER)],
        {},
        Status.SAFE,
        "monthly was last",
    ),
    "that job now makes the new call": (
        [used("monthly", 40, 70, 100), moved("monthly", 10), recorded(FOREVER)],
        {},
        Status.SAFE,
        "",
    ),
    "that job is said to be retired": (
        [used("monthly", 20, 50, 80), recorded(FOREVER)],
        {"entries": [CallerEntry(match="monthly", retired=date(2026, 11, 10))]},
        Status.SAFE,
        "Retired, by what is said of them: monthly since 2026-11-10.",
    ),
    "that job is said to retire next year": (
        [used("monthly", 20, 50, 80), recorded(FOREVER)],
        {"entries": [CallerEntry(match="monthly", retired=date(2027, 12, 10))]},
        Status.UNPROVEN,
        "monthly, which calls every 30 days or so",
    ),
    "that job is said to be retired, and ran once more": (
        [used("monthly", 2, 32, 62), recorded(FOREVER)],
        {"entries": [CallerEntry(match="monthly", retired=date(2026, 11, 10))]},
        Status.IN_USE,
        "monthly is not retired, as it is said to be since 2026-11-10",
    ),
    "a tolerated job is due again": (
        [used("ci-7", 20, 50, 80), recorded(FOREVER)],
        {"entries": [ACKNOWLEDGED]},
        Status.ACKNOWLEDGED,
        "ci-7 until 2027-01-31 (ci)",
    ),
    "only tolerated callers use it, every day": (
        [used("ci-7", *range(30)), recorded(FOREVER)],
        {"entries": [ACKNOWLEDGED]},
        Status.ACKNOWLEDGED,
        "Removing it breaks those who are acknowledged: ci-7 until 2027-01-31 (ci)",
    ),
    "tolerated callers use it, and the record has a hole": (
        [used("ci-7", *range(30)), recorded(up(LONG_AGO, NOW - 3 * DAY), up(NOW - 2 * DAY))],
        {"entries": [ACKNOWLEDGED]},
        Status.UNPROVEN,
        "one gap of 1 day",
    ),
    "a tolerated caller and another": (
        [used("ci-7", 1), used("b", 2), recorded(FOREVER)],
        {"entries": [ACKNOWLEDGED]},
        Status.IN_USE,
        "b was last",
    ),
    "one of three replicas has been read": (
        [recorded(FOREVER)],
        {"instances": 3},
        Status.UNPROVEN,
        "3 shims should record",
    ),
    "a member of the fleet never arrived": (
        [recorded(FOREVER, up(LONG_AGO, instance="b"))],
        {"instances": ("shim-a", "b", "c")},
        Status.UNPROVEN,
        "c was not recording",
    ),
    "a member has been dark for longer than the window": (
        [recorded(FOREVER, up(LONG_AGO, NOW - 20 * DAY, "b"))],
        {},
        Status.UNPROVEN,
        "b was not recording",
    ),
    "that member is given up in words": (
        [recorded(FOREVER, up(LONG_AGO, NOW - 20 * DAY, "b"))],
        {"instances": ("shim-a",)},
        Status.SAFE,
        "",
    ),
    "the only shim was stopped, and never started again": (
        [used("a", *range(8, 30)), recorded(replace(up(LONG_AGO, NOW - 7 * DAY), stopped=True))],
        {},
        Status.IN_USE,
        "",
    ),
    "the only shim was stopped before the window": (
        [used("a", *range(20, 30)), recorded(replace(up(LONG_AGO, NOW - 19 * DAY), stopped=True))],
        {},
        Status.UNPROVEN,
        "only 0 % of the last 14 days was observed",
    ),
    "the first two seconds": (
        [recorded(up(NOW - 2 * SECOND))],
        {},
        Status.UNPROVEN,
        "shims have been recording for 2 s only, not for 14 days",
    ),
    "before the first second": ([], {}, Status.UNPROVEN, "nothing shows that a shim"),
    "nobody's calls go through the sidecar": (
        [recorded(FOREVER, traffic=hours_of("shim-a", 0))],
        {},
        Status.UNPROVEN,
        "nothing came through in the last 14 days, probes aside",
    ),
    "calls go through one of two": (
        [
            recorded(
                FOREVER,
                up(LONG_AGO, instance="b"),
                traffic=hours_of("shim-a", 900) + hours_of("b", 0),
            )
        ],
        {},
        Status.UNPROVEN,
        "nothing came through b in the last 14 days",
    ),
    "calls go through both": (
        [
            recorded(
                FOREVER,
                up(LONG_AGO, instance="b"),
                traffic=hours_of("shim-a", 900) + hours_of("b", 1),
            )
        ],
        {},
        Status.SAFE,
        "observed by 2 shims",
    ),
    "a rolling update three hours ago, and nobody has called since": (
        [
            recorded(
                replace(up(LONG_AGO, NOW - 3 * HOUR), stopped=True),
                up(NOW - 3 * HOUR + 20 * SECOND, instance="new"),
                traffic=hours_of("shim-a", 900) + hours_of("new", 0, days=1),
            )
        ],
        {},
        Status.SAFE,
        "",
    ),
    "an idle newcomer beside the one that is said to record": (
        [
            recorded(
                FOREVER,
                up(NOW - 3 * DAY, instance="b"),
                traffic=hours_of("shim-a", 900) + hours_of("b", 0),
            )
        ],
        {"instances": ("shim-a",)},
        Status.SAFE,
        "",
    ),
    "nothing came through for longer than anybody looks back": (
        [recorded(up(NOW - 200 * DAY), traffic=hours_of("shim-a", 0, days=201))],
        {"window": 90 * DAY},
        Status.UNPROVEN,
        "nothing came through in the last 90 days",
    ),
    "a restart of two minutes, and the last hour": (
        [recorded(up(LONG_AGO, NOW - 30 * 60 * SECOND), up(NOW - 28 * 60 * SECOND))],
        {"window": HOUR},
        Status.SAFE,
        "one gap of 2 min",
    ),
    "a restart of two minutes, and the last ten": (
        [recorded(up(LONG_AGO, NOW - 5 * 60 * SECOND), up(NOW - 3 * 60 * SECOND))],
        {"window": 10 * 60 * SECOND},
        Status.UNPROVEN,
        "only 80 % of the last 10 min was observed",
    ),
    "scaled down, and nobody has said so": (
        [recorded(FOREVER, replace(up(LONG_AGO, NOW - 3 * DAY, "b"), stopped=True))],
        {},
        Status.UNPROVEN,
        "as many as did side by side (--instances says how many there are now)",
    ),
    "a version that did not count until yesterday": (
        [recorded(FOREVER, traffic=hours_of("shim-a", 0, days=1))],
        {},
        Status.SAFE,
        "",
    ),
    "ten restarts of 1:59": (
        [
            recorded(
                *(up(NOW - (n + 1) * DAY + 119 * SECOND, NOW - n * DAY) for n in range(1, 10)),
                up(NOW - DAY + 119 * SECOND),
                up(LONG_AGO, NOW - 10 * DAY),
            )
        ],
        {},
        Status.SAFE,
        "with 10 gaps of 19 min 50 s in all, the longest 1 min 59 s",
    ),
    "somebody past the cap called two weeks ago": (
        [used("(other)", 15, 16, 40, times=30), recorded(FOREVER)],
        {},
        Status.UNPROVEN,
        "callers past the cap used the route",
    ),
    "somebody past the cap called, and all of them are acknowledged": (
        [used("(other)", 1, times=30), recorded(FOREVER)],
        {"entries": [CallerEntry(match="*", acknowledged_until=date(2027, 1, 1))]},
        Status.IN_USE,
        "(other)",
    ),
    "calls are refused and come again": (
        [used("a", 1, 2, 3, decision="refused", upstream_status=None), recorded(FOREVER)],
        {},
        Status.IN_USE,
        "All of their calls were refused",
    ),
    "a call that nobody could make sense of": (
        [used("a", 1, mode=None, decision="invalid"), recorded(FOREVER)],
        {},
        Status.IN_USE,
        "",
    ),
    "a call from a clock that is ahead": (
        [used("a", -3), recorded(FOREVER)],
        {},
        Status.IN_USE,
        "ahead of this machine's clock",
    ),
    "lines of the log are lost": (
        [recorded(FOREVER)],
        {"lost": 2},
        Status.UNPROVEN,
        "lack 2 lines",
    ),
    "a caller went on with new calls that no handler answered": (
        [used("a", 16, 46, 76), moved("a", 1, 2, 3, 4, 5, decision=None), recorded(FOREVER)],
        {},
        Status.UNPROVEN,
        "a, which calls every 30 days or so",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_sceptical_owner_would_say_the_same(story: str) -> None:
    parts, more, status, said = STORIES[story]
    report = report_of(merge(parts), **more)
    assert report.verdict.status is status, report.verdict.reason
    assert said in report.verdict.reason


@pytest.mark.parametrize(
    ("parts", "more", "days"),
    [
        ([used("a", 4), recorded(FOREVER)], {}, 10),
        ([used("a", 20, 50, 80), recorded(FOREVER)], {}, 40),
        ([used("a", 4, 34, 64), recorded(FOREVER)], {}, 56),
        ([recorded(up(NOW - 3 * DAY))], {}, 11),
        ([recorded(up(LONG_AGO, NOW - 5 * DAY), up(NOW - 4 * DAY))], {}, 10),
        ([recorded(FOREVER)], {}, 0),
        ([recorded(up(LONG_AGO, NOW - 5 * DAY))], {}, None),
        ([recorded(FOREVER)], {"lost": 1}, None),
        ([recorded(FOREVER, traffic=hours_of("shim-a", 0))], {}, None),
    ],
)
def test_the_earliest_day_on_which_it_can_be_safe(
    parts: list[Evidence], more: dict[str, Any], days: int | None
) -> None:
    verdict = report_of(merge(parts), **more).verdict
    assert verdict.earliest == (None if days is None else NOW + days * DAY)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (CallerEntry(match="*", acknowledged_until=date(2027, 1, 1)), "acknowledges every caller"),
        (CallerEntry(match="ci-*", acknowledged_until=date(2028, 1, 1)), "for more than a year"),
        (CallerEntry(match="ci-*", acknowledged_until=date(2027, 1, 1)), None),
        (CallerEntry(match="*", acknowledged_until=date(2026, 1, 1)), None),
        (CallerEntry(match="*", owner="all"), None),
        (CallerEntry(match="*", retired=date(2026, 1, 1)), "calls every caller retired"),
        (CallerEntry(match="a", retired=date(2027, 1, 1)), "which has not come yet"),
    ],
)
def test_an_acknowledgement_of_too_much_is_warned_of(entry: CallerEntry, said: str | None) -> None:
    warnings = report_of(recorded(FOREVER), entries=[entry]).warnings
    assert (said is None) == (warnings == ())
    assert said is None or said in warnings[0]


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (recorded(up(LONG_AGO, NOW + HOUR)), "What shim-a recorded reaches into a time that has"),
        (merge([used("a", -2), recorded(FOREVER)]), "Uses of a are on record for a time that has"),
        (
            recorded(
                FOREVER,
                traffic=[
                    Traffic(instance="shim-a", hour=NOW - n * HOUR, requests=int(n > 300))
                    for n in range(24 * 60)
                ],
            ),
            "Nothing has come through shim-a since 2026-11-11",
        ),
    ],
)
def test_what_looks_wrong_is_said_beside_the_verdict(evidence: Evidence, said: str) -> None:
    (warning,) = report_of(evidence).warnings
    assert said in warning


def test_what_could_not_be_read_is_said_beside_the_verdict_where_it_is_much() -> None:
    few = used("10.0.0.9", 1, kind=Kind.UNREADABLE, decision=None, times=9)
    more = used("10.0.0.8", 2, kind=Kind.UNREADABLE, decision=None)
    old = used("10.0.0.7", 20, kind=Kind.UNREADABLE, decision=None, times=50)
    report = report_of(merge([few, old, recorded(FOREVER)]))
    assert (report.warnings, report.unreadable) == ((), {"10.0.0.9": 9})
    report = report_of(merge([few, more, old, recorded(FOREVER)]))
    assert "10 requests of the last 14 days could not be read, from 10.0.0.9" in report.warnings[0]
    assert report.verdict.status is Status.SAFE
    assert report.callers == ()


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
        assert report_of(merged).callers[0].uses == 2
