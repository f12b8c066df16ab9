"""Several ledgers read as one: what stands in two of them counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shim.ledger.adding import import_records
from shim.ledger.evidence import Evidence, Kind, merge
from shim.ledger.reading import read_evidence
from shim.ledger.records import NearMiss, Use
from shim.ledger.several import read_all
from tests.support.clock import Clock
from tests.support.ledger_records import NOON, a_call, a_near_miss, a_use, append, running
from tests.support.waiting import until

MINUTE = timedelta(minutes=1)
USES = [
    a_use(f"c{n % 3}", NOON + n * MINUTE, instance="b", client_address=f"10.0.0.{n % 4}")
    for n in range(150)
]
MISSES = [a_near_miss("c1", NOON + n * MINUTE, instance="b") for n in range(49)]
RECORDS: list[Use | NearMiss] = [*USES, *MISSES]


def write(folder: Path, *parts: Sequence[Use | NearMiss]) -> list[Path]:
    sources = [folder / f"{number}.db" for number, _ in enumerate(parts)]
    for source, part in zip(sources, parts, strict=True):
        import_records(source, part)
    return sources


def same(one: Evidence, other: Evidence) -> bool:
    """Whether they hold the same; in what order does not matter."""

    def sorted_(evidence: Evidence) -> Evidence:
        sums = sorted(evidence.sums, key=repr)
        days = sorted(evidence.days, key=repr)
        return replace(evidence, sums=sums, days=days, silent_sources=[])

    return sorted_(one) == sorted_(other)


@pytest.mark.parametrize("since", [None, NOON + 70.5 * MINUTE, NOON + 149 * MINUTE])
def test_a_log_that_was_imported_elsewhere_counts_once(
    tmp_path: Path, since: datetime | None
) -> None:
    # The sums of both ledgers were added: 398 for 199.
    sources = write(tmp_path, RECORDS, RECORDS, RECORDS[100:])
    once = read_evidence(sources[0], since)
    both = read_all(sources, since)
    assert sum(one.count for one in both.sums) == sum(one.count for one in once.sums)
    clients = {name: facts.clients for name, facts in both.callers.items()}
    assert clients == {name: facts.clients for name, facts in once.callers.items()}
    assert same(both, once)


def test_what_only_one_of_them_has_counts_as_well(tmp_path: Path) -> None:
    own = [a_use("c0", instance="a") for _ in range(10)]
    sources = write(tmp_path, [*own, *USES[:100]], USES[50:])
    read = read_all(sources)
    assert sum(one.count for one in read.sums) == 160
    assert sum(day.count for day in read.days) == 160
    found = [client for facts in read.callers.values() for client in facts.clients]
    assert sum(client.count for client in found) == 160


def test_callers_past_the_cap_are_taken_off_where_they_were_summed(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    import_records(one, USES)
    import_records(two, USES, caller_cap=1)
    for sources in ([one, two], [two, one]):
        assert sum(one.count for one in read_all(sources).sums) == 150


async def test_calls_to_the_new_endpoints_are_in_one_of_them_only(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    async with running(one, instance="b") as ledger:
        await append(ledger, USES[0])
        ledger.count(a_call("c0", instance="b"))
    import_records(two, USES[:1])
    read = read_all([one, two])
    assert {one.kind: one.count for one in read.sums} == {Kind.USE: 1, Kind.REPLACEMENT_CALL: 1}
    assert [span.instance for span in read.spans] == ["b"]


def test_ledgers_of_different_instances_are_joined_as_they_are(tmp_path: Path) -> None:
    sources = write(tmp_path, USES, [a_use("x", instance="a")])
    assert same(read_all(sources), merge([read_evidence(source) for source in sources]))
    assert same(read_all(sources[:1]), read_evidence(sources[0]))


async def live(source: Path, requests: int) -> None:
    """Run a shim's ledger for some seconds of its clock, with so many requests."""
    clock = Clock(NOON)
    async with running(source, clock=clock, instance="restate-0") as ledger:
        for _ in range(requests):
            ledger.carried()
        await until(lambda: ledger.state().ok)
        clock.moment += timedelta(seconds=9)


async def test_two_shims_of_one_name_are_told_apart_by_their_ledgers(tmp_path: Path) -> None:
    # Their traffic was one: the idle one of them proved something.
    sources = [tmp_path / "a.db", tmp_path / "b.db"]
    for source, number in zip(sources, (1, 0), strict=True):
        await live(source, number)
    read = read_all(sources)
    assert {span.instance for span in read.spans} == {f"restate-0 ({one})" for one in sources}
    requests = {hour.instance: hour.requests for hour in read.traffic}
    assert requests == {f"restate-0 ({one})": n for one, n in zip(sources, (1, 0), strict=True)}
    assert {span.instance for span in read_all(sources[:1]).spans} == {"restate-0"}


async def test_one_shim_with_a_new_ledger_is_one(tmp_path: Path) -> None:
    for name, moment in (("a.db", NOON), ("b.db", NOON + 60 * MINUTE)):
        async with running(tmp_path / name, clock=Clock(moment), instance="restate-0"):
            pass
    read = read_all([tmp_path / "a.db", tmp_path / "b.db"])
    assert {span.instance for span in read.spans} == {"restate-0"}


async def test_a_ledger_in_which_no_shim_shows_is_named(tmp_path: Path) -> None:
    # Beside another it counted for nothing.
    async with running(tmp_path / "a.db", clock=Clock(NOON)):
        pass
    (empty,) = write(tmp_path, [a_use("c0")])
    assert read_all([tmp_path / "a.db", empty]).silent_sources == [str(empty)]
    assert read_all([empty]).silent_sources == []


def test_the_order_in_which_ledgers_are_named_changes_nothing(tmp_path: Path) -> None:
    # Where a caller was past the cap in one of them, the verdict went by the first.
    one, other = tmp_path / "a.db", tmp_path / "c.db"
    uses = [a_use("x", NOON + n * MINUTE) for n in range(5)]
    import_records(one, uses)
    import_records(other, [*(a_use(f"n{n}", NOON) for n in range(3)), *uses], caller_cap=3)
    assert same(read_all([one, other]), read_all([other, one]))
    assert {sum_.caller for sum_ in read_all([other, one]).sums} == {"x", "n0", "n1", "n2"}
