"""The sign that records are in memory alone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shim.ledger.signs import Sign, drop_signs, read_signs, sign_lost


def test_a_sign_is_up_until_the_last_record_that_it_is_for_is_kept(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    one, other = Sign(ledger), Sign(ledger)
    assert read_signs(ledger) == []
    one.put_up(3)
    one.put_up(5)
    other.put_up(1)
    assert len(read_signs(ledger)) == 2
    other.take_down(1)
    one.take_down(4)
    assert len(read_signs(ledger)) == 1
    one.take_down(5)
    assert read_signs(ledger) == []


def test_a_sign_that_somebody_removed_is_put_up_again(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    sign = Sign(ledger)
    sign.put_up(1)
    for path in tmp_path.iterdir():
        path.unlink()
    sign.put_up(2)
    assert len(read_signs(ledger)) == 1


def test_a_sign_that_was_left_behind_stays_as_long_as_records_do(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    Sign(ledger).put_up(1)
    (path,) = tmp_path.iterdir()
    left = datetime(2026, 1, 1, tzinfo=UTC)
    os.utime(path, (left.timestamp(), left.timestamp()))
    drop_signs(ledger, left)
    assert read_signs(ledger) == [left]
    drop_signs(ledger, left + timedelta(seconds=1))
    assert read_signs(ledger) == []


def test_that_records_were_lost_is_said_once_and_by_the_last_of_them(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    sign_lost(ledger)
    (path,) = tmp_path.iterdir()
    left = datetime(2026, 1, 1, tzinfo=UTC)
    os.utime(path, (left.timestamp(), left.timestamp()))
    assert read_signs(ledger) == [left]
    sign_lost(ledger)
    (moment,) = read_signs(ledger)
    assert moment > left
    drop_signs(ledger, moment + timedelta(seconds=1))
    assert read_signs(ledger) == []


def test_where_no_file_can_be_made_there_is_no_sign_and_no_error(tmp_path: Path) -> None:
    ledger = tmp_path / "none" / "ledger.db"
    sign = Sign(ledger)
    sign.put_up(1)
    sign.take_down(1)
    assert read_signs(ledger) == []
