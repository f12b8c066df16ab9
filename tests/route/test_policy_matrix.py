"""Every phase under every kind of entry, at both edges of every kind of window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from shim.route.policy import CallerEntry, Phase, Policy, Refused, Terms
from shim.route.windows import parse_window
from tests.support.terms import FROZEN

KNOWN, NEWCOMER = "ci-old", "ci-new"
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Opening:
    """A window as it is written, and when that is: found by hand, from the zone's own rules."""

    text: str
    start: datetime
    end: datetime


def opening(text: str, start: str, end: str) -> Opening:
    return Opening(text, datetime.fromisoformat(start), datetime.fromisoformat(end))


WINDOWS = {
    "once": opening("2026-10-25T00:30Z/PT30M", "2026-10-25T00:30Z", "2026-10-25T01:00Z"),
    "end to end": opening(
        "2026-10-25T02:30+02:00/2026-10-25T02:30+01:00", "2026-10-25T00:30Z", "2026-10-25T01:30Z"
    ),
    # Berlin's clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 to 02:00 on
    # 25 October.
    "before summer time": opening(
        "0 10 * * */PT30M Europe/Berlin", "2026-03-28T09:00Z", "2026-03-28T09:30Z"
    ),
    "on its first day": opening(
        "0 10 * * */PT30M Europe/Berlin", "2026-03-29T08:00Z", "2026-03-29T08:30Z"
    ),
    "on its last day": opening(
        "0 10 * * */PT30M Europe/Berlin", "2026-10-25T09:00Z", "2026-10-25T09:30Z"
    ),
    "skipped": opening("30 2 * * */PT30M Europe/Berlin", "2026-03-29T01:00Z", "2026-03-29T01:30Z"),
    "over the skipped hour": opening(
        "30 1 * * */PT1H Europe/Berlin", "2026-03-29T00:30Z", "2026-03-29T01:30Z"
    ),
    "twice": opening("30 2 * * */PT30M Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T01:00Z"),
    "over both": opening("30 1 * * */PT2H Europe/Berlin", "2026-10-24T23:30Z", "2026-10-25T01:30Z"),
    "New York": opening(
        "30 1 * * */PT30M America/New_York", "2026-11-01T05:30Z", "2026-11-01T06:00Z"
    ),
}
# Where the clock stands, and whether the window is open then.
CLOCKS: dict[str, tuple[Callable[[Opening], datetime], bool]] = {
    "a microsecond before": (lambda window: window.start - MICROSECOND, False),
    "at the start": (lambda window: window.start, True),
    "in the last microsecond": (lambda window: window.end - MICROSECOND, True),
    "at the end": (lambda window: window.end, False),
    "an hour after": (lambda window: window.end + timedelta(hours=1), False),
}


def entry_sets(day: date) -> dict[str, tuple[tuple[CallerEntry, ...], Phase | None]]:
    """The entries, and the phase that they give every caller of this test; ``None``: none."""
    sets: dict[str, tuple[tuple[CallerEntry, ...], Phase | None]] = {
        "none": ((), None),
        "of others": ((CallerEntry(match="nightly-*", phase=Phase.REJECT),), None),
        "an owner only": (
            (CallerEntry(match="ci-*", owner="x"), CallerEntry(match="*", phase=Phase.REJECT)),
            None,
        ),
        "ended yesterday": (
            (CallerEntry(match="*", phase=Phase.REJECT, until=day - timedelta(days=1)),),
            None,
        ),
    }
    for phase in Phase:
        sets[f"{phase} until today"] = (
            (
                CallerEntry(match="ci-*", phase=phase, until=day),
                CallerEntry(match="*", phase=Phase.REJECT),
            ),
            phase,
        )
    return sets


def expected(phase: Phase, caller: str, *, is_open: bool, left: timedelta) -> Refused | None:
    return {
        Phase.OBSERVE: None,
        Phase.TRANSLATE: None,
        Phase.FREEZE: Refused(FROZEN) if caller == NEWCOMER else None,
        Phase.BROWNOUT: Refused(retry_after=-(left // timedelta(seconds=-1))) if is_open else None,
        Phase.REJECT: Refused(),
    }[phase]


@pytest.mark.parametrize("dry_run", [False, True], ids=["for real", "dry run"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("clock", CLOCKS)
def test_every_phase_under_every_entry_at_every_edge(
    clock: str, window: str, *, dry_run: bool
) -> None:
    where, is_open = CLOCKS[clock]
    now = where(WINDOWS[window])
    sets = entry_sets(now.astimezone(UTC).date())
    for phase, name, caller in product(Phase, sets, (KNOWN, NEWCOMER)):
        entries, own = sets[name]
        policy = Policy(
            Terms(
                phase=phase,
                callers=entries,
                brownout=(parse_window(WINDOWS[window].text),),
                dry_run=dry_run,
            ),
            clock=lambda: now,
            is_known=lambda one: one == KNOWN,
        )
        ruling = policy.rule(caller, b"inv_1")
        applies = own or phase
        refusal = expected(applies, caller, is_open=is_open, left=WINDOWS[window].end - now)
        what = f"{phase=!s} entries={name} {caller=}"
        assert ruling.phase is applies, what
        assert ruling.refusal == (None if dry_run else refusal), what
        assert ruling.would_refuse is (dry_run and refusal is not None), what
