"""Who is behind a caller's name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from shim.ledger.adding import import_records
from shim.ledger.evidence import Client, Evidence, merge
from shim.ledger.log_lines import Lines, Source
from shim.ledger.reading import read_evidence
from shim.ledger.records import Use, encode
from tests.support.ledger_records import NOON, a_near_miss, a_use

MINUTE = timedelta(minutes=1)


def clients(evidence: Evidence, caller: str) -> list[tuple[str, str | None, int]]:
    return [(one.address, one.user_agent, one.count) for one in evidence.callers[caller].clients]


def by_lines(tmp_path: Path, uses: list[Use]) -> Evidence:
    log = tmp_path / "shim.log"
    log.write_bytes(b"\n".join(map(encode, uses)))
    with log.open("rb") as stream:
        return Lines().evidence([Source("shim.log", stream)])


def by_ledger(tmp_path: Path, uses: list[Use]) -> Evidence:
    source = tmp_path / "ledger.db"
    for start in range(0, len(uses), 7):
        import_records(source, uses[start : start + 7])
    return read_evidence(source)


def test_a_name_is_told_apart_by_who_uses_it_the_busiest_first(tmp_path: Path) -> None:
    uses = [
        *(a_use("ci", NOON + n * MINUTE, client_address="10.0.0.1") for n in range(5)),
        *(a_use("ci", NOON, client_address="10.0.0.2", user_agent="sdk-java") for _ in range(9)),
        a_use("ci", NOON + 9 * MINUTE, client_address="10.0.0.2", user_agent=None),
        a_use("other", NOON),
    ]
    for evidence in (by_ledger(tmp_path, uses), by_lines(tmp_path, uses)):
        assert clients(evidence, "ci") == [
            ("10.0.0.2", "sdk-java", 9),
            ("10.0.0.1", "curl/8.5.0", 5),
            ("10.0.0.2", None, 1),
        ]
        assert evidence.callers["ci"].clients[1].last == NOON + 4 * MINUTE
        # Not that of the latest use, which is one of many.
        assert evidence.callers["ci"].user_agent == "sdk-java"
        assert clients(evidence, "other") == [("10.0.0.7", "curl/8.5.0", 1)]


def test_clients_of_a_name_that_are_too_many_are_summed(tmp_path: Path) -> None:
    uses = [a_use("ci", client_address=f"10.0.0.{n}") for n in range(30)]
    uses += [a_use("ci", client_address="10.0.0.3") for _ in range(2)]
    for evidence in (by_ledger(tmp_path, uses), by_lines(tmp_path, uses)):
        found = clients(evidence, "ci")
        assert len(found) == 20
        assert found[:2] == [("(other)", None, 11), ("10.0.0.3", "curl/8.5.0", 3)]
        assert sum(count for *_, count in found) == 32
        assert evidence.callers["ci"].user_agent == "curl/8.5.0"


def test_the_same_use_twice_is_one_of_a_client_and_near_misses_are_none(tmp_path: Path) -> None:
    use = a_use("ci")
    evidence = by_ledger(tmp_path, [use, use])
    import_records(tmp_path / "ledger.db", [use, a_near_miss("ci")])
    assert clients(read_evidence(tmp_path / "ledger.db"), "ci") == clients(evidence, "ci")
    assert clients(evidence, "ci") == [("10.0.0.7", "curl/8.5.0", 1)]


def test_a_name_in_two_records_has_the_clients_of_both(tmp_path: Path) -> None:
    one = by_lines(tmp_path, [a_use("ci"), a_use("ci", client_address="::1")])
    two = by_lines(tmp_path, [a_use("ci", NOON + MINUTE, user_agent="b"), a_use("ci")])
    merged = merge([one, two]).callers["ci"]
    assert merged.clients[0] == Client(
        address="10.0.0.7", user_agent="curl/8.5.0", count=2, last=NOON
    )
    assert len(merged.clients) == 3
    assert merged.user_agent == "curl/8.5.0"


def test_callers_past_the_cap_are_named_the_latest_first(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    uses = [a_use(f"c{n}", NOON + n * MINUTE) for n in range(30)]
    import_records(source, uses, caller_cap=3)
    evidence = read_evidence(source)
    assert evidence.others == [f"c{n}" for n in range(29, 19, -1)]
    assert set(evidence.callers) == {"c0", "c1", "c2"}
    assert read_evidence(source, NOON + 28 * MINUTE).others == ["c29", "c28"]
    # Only of names that are kept at all; the cap for that is twenty times as high.
    import_records(source, [a_use(f"d{n}", NOON + 60 * MINUTE) for n in range(60)], caller_cap=3)
    assert len(read_evidence(source).others) == 10
