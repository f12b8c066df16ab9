"""When brownout windows are: what is written, where they begin and end, and when clocks change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.route.windows import Recurring, Schedule, Window, drawn, parse_share, parse_window

SECOND = timedelta(seconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def first(text: str, after: str, count: int = 1) -> list[tuple[datetime, datetime]]:
    """The next windows of a schedule of `text` alone."""
    windows = islice(Schedule((parse_window(text),)).following(at(after)), count)
    return [(window.start, window.end) for window in windows]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-12-01T10:00Z/PT30M", "2026-12-01T10:00Z", "2026-12-01T10:30Z"),
        ("2026-12-01T10:00Z/2026-12-01T10:30Z", "2026-12-01T10:00Z", "2026-12-01T10:30Z"),
        ("2026-12-01T10:00+01:00/PT1H30M5S", "2026-12-01T09:00Z", "2026-12-01T10:30:05Z"),
        ("2026-12-01T10:00:30Z/P1DT2H", "2026-12-01T10:00:30Z", "2026-12-02T12:00:30Z"),
        ("2026-12-01/P1W", "2026-12-01T00:00Z", "2026-12-08T00:00Z"),
        ("20261201T1000Z/PT30M", "2026-12-01T10:00Z", "2026-12-01T10:30Z"),
    ],
)
def test_an_interval_is_read_as_iso_8601_has_it(text: str, start: str, end: str) -> None:
    assert first(text, "2026-01-01T00:00Z", 2) == [(at(start), at(end))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "START/DURATION"),
        ("tomorrow/PT30M", "START/DURATION"),
        ("2026-12-01T10:00Z", "START/DURATION"),
        ("2026-12-01T10:00Z/", "START/DURATION"),
        ("2026-12-01T10:00Z/P", "START/DURATION"),
        ("2026-12-01T10:00Z/PT", "START/DURATION"),
        ("2026-12-01T10:00Z/P1DT", "START/DURATION"),
        ("2026-12-01T10:00Z/P1M", "START/DURATION"),
        ("2026-12-01T10:00Z/30m", "START/DURATION"),
        ("2026-12-01T10:00Z/P999999999999D", "START/DURATION"),
        ("9999-12-31T10:00Z/P7D", "START/DURATION"),
        ("2026-12-01T10:00/PT30M", "START/DURATION"),
        ("2026-12-01T10:00Z/PT0S", "after it starts"),
        ("2026-12-01T10:00Z/2026-12-01T10:00Z", "after it starts"),
        ("0 10 * * TUE", "START/DURATION"),
        ("0 10 * * TUE/PT0S", "PT30M"),
        ("0 10 * * TUE/P8D", "P7D"),
        ("0 10 * * TUE/PT30M Europe/Atlantis", "not Europe/Atlantis"),
        ("0 10 * * TUE/PT30M ../../etc/passwd", "IANA"),
        ("0 25 * * TUE/PT30M", "Bad hour"),
        ("0 10 30 2 */PT30M", "Bad day-of-month"),
        ("* * * * * */PT30M", "START/DURATION"),
    ],
)
def test_what_is_no_window_says_what_one_is(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_window(text)


@pytest.mark.parametrize(
    ("text", "after", "starts"),
    [
        pytest.param(
            "0 10 * * TUE/PT30M Europe/Berlin",
            "2026-10-20T00:00Z",
            ["2026-10-20T08:00Z", "2026-10-27T09:00Z", "2026-11-03T09:00Z"],
            id="the clock on the wall stays, across the end of summer time",
        ),
        pytest.param(
            "0 10 * * TUE/PT30M Europe/Berlin",
            "2026-03-24T00:00Z",
            ["2026-03-24T09:00Z", "2026-03-31T08:00Z"],
            id="and across its beginning",
        ),
        pytest.param(
            "0 10 * * TUE/PT30M",
            "2026-10-20T00:00Z",
            ["2026-10-20T10:00Z", "2026-10-27T10:00Z"],
            id="without a zone it is UTC",
        ),
        pytest.param(
            "30 2 * * */PT10M Europe/Berlin",
            "2026-03-28T00:00Z",
            ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
            id="an hour that is skipped: at its end",
        ),
        pytest.param(
            "30 2 * * */PT10M Europe/Berlin",
            "2026-10-24T00:00Z",
            ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"],
            id="an hour that comes twice: the first time only",
        ),
        pytest.param(
            "*/30 * * * */PT10M Europe/Berlin",
            "2026-10-25T00:15Z",
            ["2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"],
            id="what recurs within the hour takes both",
        ),
        pytest.param(
            "0 2 * * SUN#1/PT10M America/New_York",
            "2026-10-31T00:00Z",
            ["2026-11-01T07:00Z", "2026-12-06T07:00Z"],
            id="after the hour that comes twice in New York",
        ),
        pytest.param(
            "45 23 * * */PT30M Australia/Lord_Howe",
            "2026-10-03T00:00Z",
            ["2026-10-03T13:15Z", "2026-10-04T12:45Z"],
            id="a zone that moves its clocks by half an hour",
        ),
    ],
)
def test_cron_follows_the_clock_on_the_wall(text: str, after: str, starts: list[str]) -> None:
    assert [start for start, _ in first(text, after, len(starts))] == [at(one) for one in starts]


# CronSim counts on the wall: begun at 02:20 after the clocks went back, it gave 02:30 of before.
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"], ids=["forward", "back"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "10,50 1-3 * * *", "*/25 2 * * *", "0 3 * * *"])
@pytest.mark.parametrize("duration", ["PT5M", "PT15M", "PT50M", "PT3H"])
def test_the_next_window_does_not_depend_on_when_one_asks(
    day: str, cron: str, duration: str
) -> None:
    spec = parse_window(f"{cron}/{duration} Europe/Berlin")
    days = list(islice(spec.starting(at(f"{day}T00:00Z") - timedelta(days=2)), 60))
    for minute in range(300):
        now = at(f"{day}T00:00Z") + timedelta(minutes=minute)
        expected = next(window for window in days if window.end > now)
        assert next(spec.starting(now)) == expected


def test_a_window_lasts_as_long_as_it_says_though_the_clocks_change_in_it() -> None:
    (window,) = first("30 1 * * */PT2H Europe/Berlin", "2026-10-24T23:00Z")
    assert window == (at("2026-10-24T23:30Z"), at("2026-10-25T01:30Z"))


@pytest.mark.parametrize(
    "text", ["2026-10-27T09:00Z/PT30M", "0 10 * * TUE/PT30M Europe/Berlin"], ids=["once", "cron"]
)
@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-10-27T08:59:59.999999Z", False),
        ("2026-10-27T09:00:00Z", True),
        ("2026-10-27T09:29:59.999999Z", True),
        ("2026-10-27T09:30:00Z", False),
    ],
)
def test_the_start_is_inside_and_the_end_is_not(text: str, now: str, is_open: bool) -> None:
    fresh = Schedule((parse_window(text),))
    assert (fresh.at(at(now)) is not None) is is_open
    # The same from what it remembers.
    used = Schedule((parse_window(text),))
    used.at(at("2026-10-27T08:00Z"))
    assert (used.at(at(now)) is not None) is is_open


def test_a_clock_that_is_set_back_finds_the_window_again() -> None:
    schedule = Schedule((parse_window("2026-12-01T10:00Z/PT30M"),))
    assert schedule.at(at("2026-12-01T11:00Z")) is None
    assert schedule.at(at("2026-12-01T10:10Z")) is not None
    assert schedule.at(at("2026-12-01T09:00Z")) is None


def test_windows_that_touch_or_overlap_are_one() -> None:
    specs = ("2026-12-01T10:00Z/PT30M", "2026-12-01T10:30Z/PT30M", "2026-12-01T10:50Z/PT5M")
    schedule = Schedule(tuple(map(parse_window, specs)))
    now = at("2026-12-01T10:10Z")
    assert schedule.at(now) == Window(at("2026-12-01T10:00Z"), at("2026-12-01T11:00Z"))


# They were cut where the first had lasted a day: Retry-After named a moment that was refused too.
@pytest.mark.parametrize(
    "specs",
    [
        ("2026-12-01/P2D", "2026-12-03/P2D"),
        ("2026-12-01/P2D", "2026-12-02/P3D"),
        ("2026-12-01/P4D", "2026-12-02/PT1H"),
    ],
    ids=["touch", "overlap", "inside"],
)
def test_windows_of_days_are_one_as_well(specs: tuple[str, ...]) -> None:
    window = Window(at("2026-12-01T00:00Z"), at("2026-12-05T00:00Z"))
    for now in ("2026-12-01T00:00Z", "2026-12-02T12:00Z", "2026-12-04T23:59:59Z"):
        found = Schedule(tuple(map(parse_window, specs))).at(at(now))
        assert found is not None
        assert found.end == window.end
    assert list(Schedule(tuple(map(parse_window, specs))).following(window.start)) == [window]


def test_windows_without_a_gap_are_cut_so_that_asking_stays_cheap() -> None:
    schedule = Schedule((parse_window("* * * * */PT1M"),))
    now = at("2026-12-01T10:10:30Z")
    window = schedule.at(now)
    assert window is not None
    assert window.start <= now < window.end
    assert window.end - window.start <= timedelta(minutes=1000)
    assert schedule.at(window.end) is not None


def test_without_windows_none_is_open() -> None:
    assert Schedule(()).at(at("2026-12-01T10:00Z")) is None


_MOMENTS = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 -- hypothesis takes naive bounds
    max_value=datetime(2027, 12, 31),  # noqa: DTZ001 -- likewise
    timezones=st.just(UTC),
)


@given(
    moments=st.lists(_MOMENTS, min_size=1, max_size=5),
    text=st.sampled_from(
        [
            "0 10 * * TUE/PT30M Europe/Berlin",
            "30 2 * * */PT50M America/New_York",
            "*/20 1-3 * * */PT10M Europe/London",
            "0 0 1 * */P2D Asia/Kathmandu",
        ]
    ),
)
def test_what_is_remembered_answers_as_if_asked_for_the_first_time(
    moments: list[datetime], text: str
) -> None:
    spec = parse_window(text)
    schedule = Schedule((spec,))
    for now in moments:
        assert schedule.at(now) == Schedule((spec,)).at(now)


def test_a_window_of_the_past_is_rehearsed_as_it_was() -> None:
    schedule = Schedule((parse_window("2026-11-20T10:00Z/PT30M"),))
    window = Window(at("2026-11-20T10:00Z"), at("2026-11-20T10:30Z"))
    assert schedule.rehearsed(at("2026-11-10T00:00Z"), at("2026-11-24T00:00Z")) == [window]


def test_a_window_to_come_is_rehearsed_in_every_week_before() -> None:
    schedule = Schedule((parse_window("2026-12-01T10:00Z/PT30M"),))
    found = schedule.rehearsed(at("2026-11-10T00:00Z"), at("2026-11-24T00:00Z"))
    starts = [at("2026-11-10T10:00Z"), at("2026-11-17T10:00Z")]
    assert [window.start for window in found] == starts


def test_cron_is_rehearsed_by_its_windows_of_the_past() -> None:
    schedule = Schedule((parse_window("0 10 * * TUE/PT30M"),))
    found = schedule.rehearsed(at("2026-11-10T10:10Z"), at("2026-11-24T00:00Z"))
    starts = [at("2026-11-10T10:00Z"), at("2026-11-17T10:00Z")]
    assert [window.start for window in found] == starts


JITTER = timedelta(minutes=45)


@pytest.mark.parametrize(
    "text",
    [
        "0 10 * * TUE/PT30M Europe/Berlin",
        "*/20 1-3 * * */PT5M Europe/Berlin",
        "* 3 * * */PT1M Europe/Berlin",
    ],
)
def test_jitter_delays_windows_and_loses_none(text: str) -> None:
    spec = parse_window(text)
    # Hours after the last one, so that both tell of the same ones.
    after = at("2026-10-24T12:00Z")
    assert isinstance(spec, Recurring)
    # By itself: a schedule would make one window of those that the delay lets touch.
    late = replace(spec, jitter=JITTER)
    on_time = list(islice(spec.starting(after), 180))
    found = list(islice(late.starting(after), 180))
    assert found == sorted(found)
    assert {window.end - window.start for window in found} == {on_time[0].end - on_time[0].start}
    # What holds for each holds for the first, the second… by time, too.
    for planned, window in zip(on_time, found, strict=True):
        assert planned.start <= window.start <= planned.start + JITTER
    assert found != on_time


def test_jitter_is_spread_over_all_of_its_length_and_drawn_alike_everywhere() -> None:
    spec = parse_window("0 10 * * */PT30M")
    after = at("2026-01-01T00:00Z")
    minutes = [
        (window.start.hour - 10) * 60 + window.start.minute
        for window in islice(Schedule((spec,), JITTER).following(after), 300)
    ]
    assert min(minutes) < 3
    assert max(minutes) > 42
    assert 18 < sum(minutes) / len(minutes) < 27
    # Written down: two shims, or two versions of one, must refuse at the same time.
    (first_one,) = islice(Schedule((spec,), JITTER).following(after), 1)
    assert first_one.start == at("2026-01-01T10:19:39Z")


@pytest.mark.parametrize("minute", range(0, 200, 9))
def test_the_next_jittered_window_does_not_depend_on_when_one_asks(minute: int) -> None:
    now = at("2026-10-25T00:00Z") + timedelta(minutes=minute)
    schedule = Schedule((parse_window("*/20 1-3 * * */PT10M Europe/Berlin"),), JITTER)
    from_afar = schedule.following(at("2026-10-23T00:00Z"))
    assert next(schedule.following(now)).end == next(w for w in from_afar if w.end > now).end


def test_jitter_leaves_an_interval_where_it_was_written() -> None:
    spec = parse_window("2026-12-01T10:00Z/PT30M")
    (found,) = Schedule((spec,), JITTER).following(at("2026-01-01T00:00Z"))
    assert found == Window(at("2026-12-01T10:00Z"), at("2026-12-01T10:30Z"))


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("100 %", 1.0), ("0.5%", 0.005)])
def test_a_share_is_a_percentage(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "10", "0%", "101%", "-1%", "ten%", "nan%"])
def test_what_is_no_share_says_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"10%"):
        parse_share(text)


def test_a_share_is_drawn_per_invocation_and_always_the_same() -> None:
    ids = [b"inv_%d" % number for number in range(10_000)]
    of_ten = {one for one in ids if drawn(one, 0.1)}
    assert 0.08 < len(of_ten) / len(ids) < 0.12
    assert of_ten == {one for one in ids if drawn(one, 0.1)}
    # Who is in a small share is in each larger one, so that raising it surprises nobody twice.
    assert of_ten < {one for one in ids if drawn(one, 0.5)}
    assert all(drawn(one, 1.0) for one in ids)


def test_the_draw_is_the_same_in_every_process() -> None:
    # Written down: two shims, or two versions of one, must refuse the same calls.
    of_half = [number for number in range(12) if drawn(b"inv_%d" % number, 0.5)]
    assert of_half == [0, 3, 6, 8, 10]
