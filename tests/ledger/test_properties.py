from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from shim.ledger.adding import Imported, import_records
from shim.ledger.evidence import Kind
from shim.ledger.ledger import Ledger
from shim.ledger.reading import read_evidence, read_uses
from shim.ledger.records import Decision, Use
from tests.support.clock import Clock
from tests.support.ledger_records import NOON, a_call, a_near_miss, a_use, running


@dataclass(frozen=True)
class Step:
    """The clock goes on by ``seconds``, or back; then something happens."""

    what: str
    seconds: int
    caller: str
    mode: str | None
    decision: Decision
    upstream_status: int | None
    masked: bool


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["use", "use", "use", "miss", "call", "restart", "import", "again"]),
        seconds=st.sampled_from([0, 1, 20, 40, 3599, 3600, 86_400, 10 * 86_400, -1, -60, -90_000]),
        caller=st.sampled_from(["a", "b", "c", "(other)", "", "ü\u202e"]),
        mode=st.sampled_from(["cancel", "kill", "purge", None]),
        decision=st.sampled_from(Decision),
        upstream_status=st.sampled_from([None, 200, 404, 409, 500]),
        masked=st.booleans(),
    ),
    max_size=30,
)


class World:
    """A ledger through restarts, and beside it what it should hold."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.clock = Clock(NOON)
        self.shown = [self.clock.moment]
        self.uses: dict[str, Use] = {}
        self.others: list[tuple[datetime, str, Kind]] = []

    async def live(self, steps: list[Step]) -> None:
        """Take steps up to a restart, in one run of the ledger after the other."""
        left = iter(steps)
        while True:
            async with running(self.source, clock=self.clock) as ledger:
                for step in left:
                    self.clock.moment += timedelta(seconds=step.seconds)
                    self.shown.append(self.clock.moment)
                    if step.what == "restart":
                        break
                    await self.take(step, ledger)
                else:
                    return

    async def take(self, step: Step, ledger: Ledger) -> None:
        now = self.clock.moment
        use = a_use(
            step.caller,
            now,
            mode=step.mode,
            decision=step.decision,
            upstream_status=step.upstream_status,
            masked=step.masked,
        )
        match step.what:
            case "use":
                assert await ledger.append(use)
                self.uses[use.id] = use
            case "import":
                imported = structs.replace(use, instance="elsewhere")
                result = import_records(self.source, [imported] * 2)
                assert result == Imported(new=1, known=1)
                self.uses[use.id] = imported
            case "again":
                uses = self.uses.values()
                assert import_records(self.source, uses) == Imported(known=len(uses))
                # The writer is told what it has written before, among news.
                told = [*list(self.uses.values())[:2], use]
                assert all(await asyncio.gather(*map(ledger.append, told)))
                self.uses[use.id] = use
            case "miss":
                assert await ledger.append(a_near_miss(step.caller, now))
                self.others.append((now, step.caller, Kind.NEAR_MISS))
            case _:
                ledger.count(a_call(step.caller, now))
                self.others.append((now, step.caller, Kind.REPLACEMENT_CALL))

    def check_sums(self) -> None:
        evidence, uses = read_evidence(self.source), self.uses.values()
        what = [(use.timestamp, use.caller, Kind.USE) for use in uses] + self.others
        assert {(day.day, day.caller, day.kind): day.count for day in evidence.days} == Counter(
            (moment.date(), caller, kind) for moment, caller, kind in what
        )
        sums: Counter[tuple[Any, ...]] = Counter()
        for one in evidence.sums:
            if one.kind is Kind.USE:
                key = (one.caller, one.mode, one.decision, one.upstream_status, one.masked)
                sums[key] += one.count
        assert sums == Counter(
            (use.caller, use.mode, str(use.decision), use.upstream_status, use.masked)
            for use in uses
        )
        for pick, ends in (
            (min, {one.first for one in evidence.sums}),
            (max, {one.last for one in evidence.sums}),
        ):
            assert not what or pick(ends) == pick(moment for moment, *_ in what)
        assert {use["id"]: use for use in read_uses(self.source)} == {
            use.id: use.as_dict() for use in uses
        }

    def check_since(self, since: datetime) -> None:
        later = read_evidence(self.source, since)
        expected = sum(use.timestamp >= since for use in self.uses.values())
        assert sum(one.count for one in later.sums if one.kind is Kind.USE) == expected
        assert sum(day.count for day in later.days if day.kind is Kind.USE) == expected

    def check_spans(self) -> None:
        for span in read_evidence(self.source).spans:
            assert span.start <= span.end
            assert span.start in self.shown
            # No time is claimed that the clock has not shown yet.
            assert span.end == span.start or span.end <= self.clock.moment


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, since_hours=st.integers(-100, 1000))
def test_sums_equal_what_was_fed_whatever_is_mixed(steps: list[Step], since_hours: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "ledger.db")
        asyncio.run(world.live(steps))
        world.check_sums()
        world.check_since(NOON + timedelta(hours=since_hours, minutes=30))
        world.check_spans()
