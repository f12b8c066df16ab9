from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterable
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
from shim.ledger.leftovers import paths_beside
from shim.ledger.reading import read_evidence, read_uses
from shim.ledger.records import Decision, Record, Use
from tests.support.clock import Clock
from tests.support.ledger_records import NOON, a_call, a_near_miss, a_use, append, running


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

    def use(self, id_: str, moment: datetime, **other: Any) -> Use:
        return a_use(
            self.caller,
            moment,
            id=id_,
            mode=self.mode,
            decision=self.decision,
            upstream_status=self.upstream_status,
            masked=self.masked,
            **other,
        )


COUNTED = ("call", "bytes")
SOMEWHERE = "10.0.0.9"
ENDS = ("restart", "kill", "torn")
STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(
            ["use", "use", "use", "miss", "call", "bytes", "phase", "import", "again", *ENDS]
        ),
        seconds=st.sampled_from([0, 1, 20, 40, 3599, 3600, 86_400, 10 * 86_400, -1, -60, -90_000]),
        caller=st.sampled_from(["a", "b", "c", "(other)", "", "ü\u202e"]),
        mode=st.sampled_from(["cancel", "kill", "purge", None]),
        decision=st.sampled_from(Decision),
        upstream_status=st.sampled_from([None, 200, 404, 409, 500]),
        masked=st.booleans(),
    ),
    max_size=30,
)
# Longer than the clock ever goes back.
RETAIN = timedelta(days=60)
TORN = b'{"event":"deprecated_route_used","level":"info","id":"x'


class World:
    """A ledger through restarts and kills, and beside it what it should hold."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.clock = Clock(NOON)
        self.shown = [self.clock.moment]
        self.uses: dict[str, Use] = {}
        self.others: list[tuple[datetime, str, Kind]] = []
        self.phases: set[datetime] = set()

    def live(self, steps: list[Step]) -> None:
        """Take the steps, in one process after the other where one is killed."""
        begin = 0
        while True:
            ends = (n for n in range(begin, len(steps)) if steps[n].what in ENDS)
            end = next(ends, len(steps))
            lived = steps[begin:end]
            if end < len(steps) and steps[end].what != "restart":
                self.be_killed(lived, torn=steps[end].what == "torn")
            else:
                asyncio.run(self.run(lived))
            if end == len(steps):
                return
            begin = end + 1

    async def run(self, steps: list[Step]) -> None:
        async with running(self.source, clock=self.clock, retain=RETAIN) as ledger:
            for step in steps:
                await self.take(step, ledger)

    def be_killed(self, steps: list[Step], *, torn: bool) -> None:
        """Take the steps in a process that is killed as soon as the last is acknowledged."""
        # What is counted, and told in sums alone, may be lost with the last second.
        steps = [step for step in steps if step.what not in COUNTED]
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                asyncio.run(self.take_and_die(steps))
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "a step went wrong in the process that was to be killed"
        for step in steps:
            self.note(step)
        for path in paths_beside(self.source) if torn else ():
            with path.open("ab") as segment:
                segment.write(TORN)

    async def take_and_die(self, steps: list[Step]) -> None:
        async with running(self.source, clock=self.clock, retain=RETAIN) as ledger:
            for step in steps:
                await self.take(step, ledger)
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, step: Step) -> list[Record]:
        """Note what a step adds; return its records."""
        self.clock.moment += timedelta(seconds=step.seconds)
        moment = self.clock.moment
        self.shown.append(moment)
        use = step.use(f"{len(self.shown)}", moment)
        match step.what:
            case "use" | "again":
                records: list[Record] = [use]
            case "import":
                records = [structs.replace(use, instance="elsewhere")]
            case "miss" | "phase":
                if step.what == "phase":
                    self.phases.add(moment)
                self.others.append((moment, step.caller, Kind.NEAR_MISS))
                return [a_near_miss(step.caller, moment)]
            case "bytes":
                self.others.append((moment, SOMEWHERE, Kind.UNREADABLE))
                return []
            case _:
                self.others.append((moment, step.caller, Kind.REPLACEMENT_CALL))
                return []
        self.uses |= {one.id: one for one in records if isinstance(one, Use)}
        return records

    async def take(self, step: Step, ledger: Ledger) -> None:
        before = list(self.uses.values())
        records = self.note(step)
        match step.what:
            case "import":
                result = import_records(self.source, records * 2)
                assert result == Imported(new=1, known=1)
            case "again":
                # What is in the journal alone so far is new to the ledger.
                again = import_records(self.source, before)
                assert again.new + again.known + again.too_old == len(before)
                # The writer is told what it has written before, among news.
                told = [*self.kept(before)[-2:], *records]
                assert all(await asyncio.gather(*(append(ledger, one) for one in told)))
            case "call":
                ledger.count(a_call(step.caller, self.clock.moment))
            case "bytes":
                ledger.count_unreadable(SOMEWHERE)
            case _:
                if step.what == "phase":
                    ledger.phase_changed("freeze")
                assert all(await asyncio.gather(*(append(ledger, one) for one in records)))

    def kept(self, uses: Iterable[Use]) -> list[Use]:
        """Those that no retention may have removed."""
        return [use for use in uses if use.timestamp >= max(self.shown) - RETAIN]

    def check_sums(self) -> None:
        evidence, uses = read_evidence(self.source), self.uses.values()
        what = [(use.timestamp, use.caller, Kind.USE) for use in uses] + self.others
        days: Counter[tuple[Any, ...]] = Counter()
        for day in evidence.days:
            days[day.day, day.caller, day.kind] += day.count
        assert days == Counter((moment.date(), caller, kind) for moment, caller, kind in what)
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
        clients = {name: facts.clients for name, facts in evidence.callers.items()}
        assert {name: sum(one.count for one in some) for name, some in clients.items()} == Counter(
            use.caller for use in uses
        )
        found = {use["id"]: use for use in read_uses(self.source)}
        assert found.items() <= {use.id: use.as_dict() for use in uses}.items()
        assert {use.id for use in self.kept(uses)} <= found.keys()

        phases = {change.timestamp for change in evidence.phase_changes}
        assert phases <= self.phases
        assert {one for one in self.phases if one >= max(self.shown) - RETAIN} <= phases

    def check_since(self, since: datetime) -> None:
        later = read_evidence(self.source, since)
        if since < max(self.shown) - RETAIN:
            # Of an hour whose uses have gone, all counts.
            return
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
        world.live(steps)
        world.check_sums()
        world.check_since(NOON + timedelta(hours=since_hours, minutes=30))
        world.check_spans()
