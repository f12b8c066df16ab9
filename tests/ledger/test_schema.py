"""Ledgers of older versions: read as they are, and brought up to date by what writes."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from shim.ledger.adding import import_records
from shim.ledger.errors import LedgerError
from shim.ledger.reading import read_evidence
from shim.ledger.several import read_all
from tests.support.ledger_records import NOON, a_call, a_use, append, running

MINUTE = timedelta(minutes=1)


def at(source: Path, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(source)
    try:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        connection.commit()
        return rows
    finally:
        connection.close()


@pytest.fixture
def of_version_2(tmp_path: Path) -> Path:
    source = tmp_path / "ledger.db"
    uses = [a_use("ci", NOON + n * MINUTE, client_address=f"10.0.0.{n % 30}") for n in range(60)]
    import_records(source, [*uses, a_use("ci"), a_use("ci", user_agent=None), a_use("etl")])
    at(
        source,
        "DROP TABLE clients",
        "DROP TABLE traffic",
        "UPDATE schema_version SET version = 2",
    )
    return source


def test_one_of_the_version_before_is_read_as_it_is(of_version_2: Path) -> None:
    before = of_version_2.read_bytes()
    of_version_2.chmod(0o400)
    evidence = read_evidence(of_version_2)
    assert sum(one.count for one in evidence.sums) == 63
    assert evidence.callers["ci"].user_agent == "curl/8.5.0"
    assert evidence.callers["ci"].clients == ()
    assert (evidence.traffic, evidence.others) == ([], [])
    assert read_evidence(of_version_2, NOON + 30 * MINUTE).sums
    copy = shutil.copy(of_version_2, of_version_2.with_name("copy.db"))
    assert sum(one.count for one in read_all([of_version_2, copy]).sums) == 63
    assert of_version_2.read_bytes() == before


async def test_what_writes_brings_it_up_to_date_and_sums_its_clients(of_version_2: Path) -> None:
    async with running(of_version_2) as ledger:
        assert ledger.state().ok, ledger.state().error
        await append(ledger, a_use("ci", client_address="::1"))
        ledger.carried()
        ledger.count(a_call("ci"))
    evidence = read_evidence(of_version_2)
    assert at(of_version_2, "SELECT version FROM schema_version") == [(3,)]
    clients = {(one.address, one.user_agent): one for one in evidence.callers["ci"].clients}
    assert len(clients) == 20
    busiest = clients["10.0.0.7", "curl/8.5.0"]
    assert (busiest.count, busiest.last) == (3, NOON + 37 * MINUTE)
    # There was no room left for another one.
    assert clients["(other)", None].count == 1
    assert [one.count for one in evidence.callers["etl"].clients] == [1]
    assert [one.requests for one in evidence.traffic] == [1]
    # It is brought up to date once.
    import_records(of_version_2, [a_use("etl")])
    assert [one.count for one in read_evidence(of_version_2).callers["etl"].clients] == [2]


def test_one_from_before_that_is_not_read(of_version_2: Path) -> None:
    at(of_version_2, "UPDATE schema_version SET version = 1")
    with pytest.raises(LedgerError, match=r"has schema 1, older than 2: start restate-shim serve"):
        read_evidence(of_version_2)
