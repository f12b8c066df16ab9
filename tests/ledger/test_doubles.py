"""Several ledgers read as one: what stands in two of them counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shim.ledger.adding import import_records
from shim.ledger.evidence import Evidence, Kind, merge
from shim.ledger.reading import read_all, read_evidence
from shim.ledger.records import NearMiss, Use
from tests.support.ledger_records import NOON, a_call, a_near_miss, a_use, running

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
        return replace(evidence, sums=sums, days=sorted(evidence.days, key=repr))

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
        await ledger.append(USES[0])
        ledger.count(a_call("c0", instance="b"))
    import_records(two, USES[:1])
    read = read_all([one, two])
    assert {one.kind: one.count for one in read.sums} == {Kind.USE: 1, Kind.REPLACEMENT_CALL: 1}
    assert [span.instance for span in read.spans] == ["b"]


def test_ledgers_of_different_instances_are_joined_as_they_are(tmp_path: Path) -> None:
    sources = write(tmp_path, USES, [a_use("x", instance="a")])
    assert same(read_all(sources), merge([read_evidence(source) for source in sources]))
    assert same(read_all(sources[:1]), read_evidence(sources[0]))
