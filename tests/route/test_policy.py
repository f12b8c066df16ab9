"""Phase, entry, window and clock: who is refused, and with which words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pytest

from shim.route.policy import Phase, Policy, Refused, phases_in_words
from shim.settings.entries import parse_entries
from tests.support.clock import Clock
from tests.support.terms import FROZEN, terms


@dataclass
class World:
    """A policy whose clock and ledger the test holds."""

    clock: Clock = field(default_factory=lambda: Clock(at(OUTSIDE)))
    known: set[str] = field(default_factory=lambda: {"old-hand"})

    def policy(self, **more: Any) -> Policy:
        return Policy(terms(**more), clock=self.clock, is_known=lambda caller: caller in self.known)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


INSIDE = "2026-12-01T10:10:00Z"
OUTSIDE = "2026-12-01T09:00:00Z"


@pytest.mark.parametrize(
    ("phase", "caller", "now", "refusal"),
    [
        (Phase.OBSERVE, "newcomer", INSIDE, None),
        (Phase.TRANSLATE, "newcomer", INSIDE, None),
        (Phase.FREEZE, "old-hand", INSIDE, None),
        (Phase.FREEZE, "newcomer", OUTSIDE, Refused(FROZEN)),
        (Phase.BROWNOUT, "old-hand", OUTSIDE, None),
        (Phase.BROWNOUT, "old-hand", "2026-12-01T09:59:59.999999Z", None),
        (Phase.BROWNOUT, "old-hand", "2026-12-01T10:00:00Z", Refused(retry_after=1800)),
        (Phase.BROWNOUT, "newcomer", INSIDE, Refused(retry_after=1200)),
        (Phase.BROWNOUT, "old-hand", "2026-12-01T10:29:58.400000Z", Refused(retry_after=2)),
        (Phase.BROWNOUT, "old-hand", "2026-12-01T10:29:59.999999Z", Refused(retry_after=1)),
        (Phase.BROWNOUT, "old-hand", "2026-12-01T10:30:00Z", None),
        (Phase.REJECT, "old-hand", OUTSIDE, Refused()),
        (Phase.REJECT, "old-hand", INSIDE, Refused()),
    ],
)
def test_each_phase_serves_and_refuses_whom_it_says(
    phase: Phase, caller: str, now: str, refusal: Refused | None
) -> None:
    world = World(Clock(at(now)))
    ruling = world.policy(phase=phase).rule(caller, b"inv_1")
    assert (ruling.phase, ruling.refusal, ruling.would_refuse) == (phase, refusal, False)


@pytest.mark.parametrize(
    ("phase", "caller", "now", "would"),
    [
        (Phase.OBSERVE, "newcomer", INSIDE, False),
        (Phase.TRANSLATE, "newcomer", INSIDE, False),
        (Phase.FREEZE, "newcomer", INSIDE, True),
        (Phase.FREEZE, "old-hand", INSIDE, False),
        (Phase.BROWNOUT, "old-hand", INSIDE, True),
        (Phase.BROWNOUT, "old-hand", OUTSIDE, False),
        (Phase.REJECT, "old-hand", OUTSIDE, True),
    ],
)
def test_a_dry_run_serves_everyone_and_says_whom_it_would_refuse(
    phase: Phase, caller: str, now: str, would: bool
) -> None:
    ruling = World(Clock(at(now))).policy(phase=phase, dry_run=True).rule(caller, b"inv_1")
    assert (ruling.phase, ruling.refusal, ruling.would_refuse) == (phase, None, would)


@pytest.mark.parametrize(
    ("entries", "caller", "phase"),
    [
        pytest.param([{"match": "ci-*", "phase": "reject"}], "ci-7", "reject", id="a glob"),
        pytest.param([{"match": "ci-*", "phase": "reject"}], "my-ci-7", "translate", id="of all"),
        pytest.param([{"match": "ci-*", "phase": "reject"}], "CI-7", "translate", id="case counts"),
        pytest.param([{"match": "*", "phase": "reject"}], "a\nb/c d", "reject", id="any character"),
        pytest.param([{"match": "ci-[0-9]", "phase": "reject"}], "ci-x", "translate", id="a class"),
        pytest.param([{"match": "[", "phase": "reject"}], "[", "reject", id="no class"),
        pytest.param(
            [{"match": "ci-1", "phase": "observe"}, {"match": "ci-*", "phase": "reject"}],
            "ci-1",
            "observe",
            id="the first that matches counts",
        ),
        pytest.param(
            [{"match": "ci-1", "owner": "x"}, {"match": "ci-*", "phase": "reject"}],
            "ci-1",
            "translate",
            id="also where it says nothing of a phase",
        ),
        pytest.param(
            [
                {"match": "ci-1", "phase": "observe", "until": date(2026, 11, 30)},
                {"match": "ci-*", "phase": "reject"},
            ],
            "ci-1",
            "reject",
            id="one that has ended is as if it were not there",
        ),
    ],
)
def test_an_entry_wins_over_the_phase_of_all(
    entries: list[dict[str, Any]], caller: str, phase: str
) -> None:
    assert World().policy(callers=parse_entries(entries)).rule(caller, b"inv_1").phase == phase


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        ("2027-01-31T00:00:00Z", Phase.REJECT),
        ("2027-01-31T23:59:59.999999Z", Phase.REJECT),
        ("2027-02-01T00:00:00Z", Phase.TRANSLATE),
        ("2027-02-01T00:59:59+01:00", Phase.REJECT),
        ("2027-01-31T23:59:59-01:00", Phase.TRANSLATE),
    ],
)
def test_until_holds_to_the_end_of_that_day_in_utc(now: str, phase: Phase) -> None:
    entry = {"match": "*", "phase": "reject", "until": date(2027, 1, 31)}
    assert (
        World(Clock(at(now))).policy(callers=parse_entries([entry])).rule("a", b"inv_1").phase
        is phase
    )


def test_what_is_in_force_is_told_in_a_few_words() -> None:
    entries = parse_entries(
        [{"match": "ci-*", "phase": "reject"}, {"match": "x", "owner": "team"}, {"match": "y"}]
    )
    now = at(OUTSIDE)
    assert phases_in_words(terms(), now) == "translate"
    assert phases_in_words(terms(Phase.REJECT, dry_run=True), now) == "reject (dry run)"
    assert phases_in_words(terms(callers=entries), now) == "translate, ci-*: reject"
    until = parse_entries([{"match": "old", "phase": "reject", "until": date(2026, 12, 1)}])
    assert (
        phases_in_words(terms(callers=until), at("2026-12-01T23:59:59Z"))
        == "translate, old: reject"
    )
    assert phases_in_words(terms(callers=until), at("2026-12-02T00:00:00Z")) == "translate"


def test_a_callers_own_brownout_uses_the_windows_of_all() -> None:
    world = World(Clock(at(INSIDE)))
    policy = world.policy(callers=parse_entries([{"match": "ci-*", "phase": "brownout"}]))
    assert policy.rule("ci-1", b"inv_1").refusal == Refused(retry_after=1200)
    assert policy.rule("other", b"inv_1").refusal is None


def test_a_freeze_serves_whom_the_file_names_or_the_ledger_comes_to_know() -> None:
    world = World()
    policy = world.policy(phase=Phase.FREEZE, freeze_known=("batch-*",))
    assert policy.rule("batch-7", b"inv_1").refusal is None
    assert policy.rule("newcomer", b"inv_1").refusal is not None
    # From a shim on another node, through the fleet.
    world.known.add("newcomer")
    assert policy.rule("newcomer", b"inv_1").refusal is None


def test_a_share_refuses_the_same_invocations_each_time() -> None:
    world = World(Clock(at(INSIDE)))
    policy = world.policy(phase=Phase.BROWNOUT, brownout_share=0.1)
    ids = [b"inv_%d" % number for number in range(2000)]

    def refused() -> list[bytes]:
        return [one for one in ids if policy.rule("a", one).refusal is not None]

    assert 140 < len(refused()) < 260
    assert refused() == refused()


def test_the_description_tells_a_caller_which_entry_counts_and_what_it_means() -> None:
    world = World(Clock(at(INSIDE)))
    entries = parse_entries(
        [
            {"match": "x"},
            {"match": "ci-*", "phase": "brownout", "until": date(2027, 1, 31), "owner": "platform"},
        ]
    )
    told = world.policy(phase=Phase.FREEZE, callers=entries).describe("ci-1")
    window = {"start": "2026-12-01T10:00:00.000Z", "end": "2026-12-01T10:30:00.000Z"}
    assert told == {
        "phase": "freeze",
        "dry_run": False,
        "brownout": {"open": window, "next": [window], "share": 1.0, "jitter_seconds": 0.0},
        "rules": 2,
        "caller": {
            "name": "ci-1",
            "phase": "brownout",
            "known": False,
            "refused": True,
            "would_be_refused": True,
            "refused_share": 1.0,
            "retry_after": 1200,
            "rule": {
                "entry": 2,
                "match": "ci-*",
                "phase": "brownout",
                "until": "2027-01-31",
                "owner": "platform",
                "note": None,
            },
        },
    }


def test_a_caller_of_whom_a_window_refuses_a_share_is_not_said_to_be_refused() -> None:
    # 35 of 400 calls were refused, and the description said that all are.
    world = World(Clock(at(INSIDE)))
    told = world.policy(phase=Phase.BROWNOUT, brownout_share=0.1).describe("ci-1")["caller"]
    assert (told["refused"], told["would_be_refused"]) == (False, False)
    assert told["refused_share"] == 0.1
    told = world.policy(phase=Phase.BROWNOUT, brownout_share=0.1, dry_run=True).describe("ci-1")
    assert told["caller"]["refused_share"] == 0


def test_the_description_without_a_caller_is_of_everyone() -> None:
    told = World().policy(dry_run=True).describe()
    assert "caller" not in told
    assert told["brownout"]["open"] is None
