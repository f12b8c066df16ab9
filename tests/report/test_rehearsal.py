"""Whom windows would have refused, had they applied before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shim.ledger.records import Decision, Use
from shim.report.rehearsal import rehearse
from shim.settings.loading import load
from tests.support.ledger_records import a_use

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def use(caller: str, moment: datetime, number: int = 1, **more: Any) -> Use:
    return a_use(caller, moment, invocation_id=f"inv_{number}", **more)


def tuesday(clock: str, week: int = 0) -> datetime:
    """17 November 2026, or so many weeks later, at that time."""
    return datetime.fromisoformat(f"2026-11-17T{clock}+00:00") + timedelta(weeks=week)


def refused(
    uses: list[Use], config: Path | None = None, **flags: str | list[str]
) -> dict[str, Any]:
    given: dict[str, Any] = {"brownout": ["0 10 * * TUE/PT30M"], **flags}
    settings = load(given, {}, config)
    by_time = sorted(uses, key=lambda one: one.timestamp)
    found = rehearse(settings.terms, by_time, NOW - timedelta(days=14), NOW)
    return {hit.caller: (hit.refused, hit.retried, hit.uses) for hit in found.callers}


def test_who_called_in_a_window_is_told_and_who_did_not_is_not() -> None:
    uses = [
        use("early", tuesday("09:59:59.999")),
        use("first", tuesday("10:00:00")),
        use("last", tuesday("10:29:59.999")),
        use("late", tuesday("10:30:00")),
        use("last", tuesday("11:00:00"), 2),
    ]
    assert refused(uses) == {"first": (1, 0, 1), "last": (1, 0, 2)}


def test_a_call_that_comes_again_soon_is_one_that_gets_over_it() -> None:
    uses = [
        use("retries", tuesday("10:00:00")),
        use("retries", tuesday("10:10:00")),
        use("too-late", tuesday("10:00:00")),
        use("too-late", tuesday("10:10:00.001")),
        use("another-id", tuesday("10:00:00"), 1),
        use("another-id", tuesday("10:01:00"), 2),
        use("another-mode", tuesday("10:29:00")),
        use("another-mode", tuesday("10:31:00"), mode="purge"),
    ]
    assert refused(uses) == {
        "another-id": (2, 0, 2),
        "another-mode": (1, 0, 2),
        "retries": (2, 1, 2),
        "too-late": (2, 0, 2),
    }


def test_who_is_not_served_anyway_is_not_counted() -> None:
    uses = [
        use("a", tuesday("10:00:00"), decision=Decision.INVALID, mode=None),
        use("a", tuesday("10:00:01"), decision=Decision.REFUSED),
    ]
    assert refused(uses) == {}


def test_callers_with_a_phase_of_their_own_keep_it(tmp_path: Path) -> None:
    config = tmp_path / "shim.toml"
    config.write_text('[[caller]]\nmatch = "exempt-*"\nphase = "translate"\n')
    uses = [use("exempt-1", tuesday("10:00:00")), use("b", tuesday("10:00:00"))]
    assert refused(uses, config) == {"b": (1, 0, 1)}


def test_a_share_refuses_its_part() -> None:
    uses = [use("a", tuesday("10:00:00"), number) for number in range(12)]
    assert refused(uses, brownout_share="50%") == {"a": (5, 0, 12)}


def test_jitter_of_the_past_is_played_too() -> None:
    # 17 November's begins at 10:06:02.
    uses = [use("on-time", tuesday("10:00:00")), use("late", tuesday("10:36:00"))]
    assert refused(uses, brownout_jitter="45m") == {"late": (1, 0, 1)}


def test_a_window_to_come_is_played_in_the_weeks_before() -> None:
    uses = [use("a", tuesday("10:00:00", week=-1)), use("a", tuesday("10:29:00"))]
    assert refused(uses, brownout=["2026-12-01T10:00Z/PT30M"]) == {"a": (2, 0, 2)}
