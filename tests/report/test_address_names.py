"""Names of addresses, as a team writes them down."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.ledger.evidence import CallerFacts, Client, merge
from shim.report.address_names import AddressNamesError, read_address_names
from shim.report.words import details
from tests.support.samples import NOW, recorded, report_of, up, used


def test_they_are_read_as_hosts_5_has_them(tmp_path: Path) -> None:
    file = tmp_path / "pods"
    file.write_text("# pods\n10.0.0.7 billing/cron other\n\nFD00::0001\tetl # v6\n10.0.0.7 late\n")
    assert read_address_names(file) == {"10.0.0.7": "billing/cron", "fd00::1": "etl"}
    assert read_address_names(None) == {}


@pytest.mark.parametrize("line", ["10.0.0.7", "billing 10.0.0.7", "10.0.0.300 x", "10.0.0.0/8 x"])
def test_a_line_that_is_none_is_said(line: str, tmp_path: Path) -> None:
    file = tmp_path / "pods"
    file.write_text(f"10.0.0.1 a\n{line}\n")
    with pytest.raises(AddressNamesError, match="line 2: takes an address and a name"):
        read_address_names(file)


def test_a_file_that_is_no_text_or_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "pods").write_bytes(b"\xff\xfe")
    for name in ("pods", "none"):
        with pytest.raises(AddressNamesError, match="cannot be read"):
            read_address_names(tmp_path / name)


def test_callers_of_one_name_are_told_apart_by_them() -> None:
    clients = tuple(
        Client(address=address, user_agent="python-requests/2.32.3", count=count, last=NOW)
        for address, count in (("10.0.0.7", 40), ("10.0.0.8", 3))
    )
    facts = CallerFacts(user_agent="python-requests/2.32.3", replacement=None, clients=clients)
    evidence = merge([used("requests", 1, 2), recorded(up(NOW), callers={"requests": facts})])
    report = report_of(evidence, address_names={"10.0.0.7": "billing/cron"})
    (caller,) = report.callers
    assert "from 10.0.0.7 billing/cron 40, 10.0.0.8 3" in details(caller, NOW)
    assert caller.as_json()["addresses"] == {"10.0.0.7": 40, "10.0.0.8": 3}
    assert caller.as_json()["address_names"] == {"10.0.0.7": "billing/cron"}
