"""Times and durations as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shim.moments import length, parse_duration, parse_moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("250ms", 0.25),
        ("1h30m", 5400.0),
        ("14d", 14 * 86400.0),
        ("2w", 14 * 86400.0),
        ("PT30M", 1800.0),
        ("P1DT2H", 93600.0),
        ("P2W", 14 * 86400.0),
        ("1.5h", 5400.0),
    ],
)
def test_durations_are_read_in_both_spellings(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "P1M", "1y", "5 s x", "-5s", "PT"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        parse_duration(text)


def test_a_duration_beyond_all_use_is_refused() -> None:
    # timedelta raises OverflowError, which nobody expects of a bad setting.
    with pytest.raises(ValueError, match="at most 100 years"):
        parse_duration("99999999999999d")


def test_a_date_is_midnight_utc() -> None:
    assert parse_moment("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert parse_moment("2027-01-31T01:00+02:00") == datetime(2027, 1, 30, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (0, "0 s"),
        (0.4, "less than 1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (86400, "1 day"),
        (86401, "1 day"),
        (2 * 86400 + 3600, "2 days 1 h"),
        (timedelta(days=14), "14 days"),
    ],
)
def test_durations_are_said_in_two_units_at_most(duration: float | timedelta, said: str) -> None:
    assert length(duration) == said
