"""A disk that fails is real here: a full tmpfs, a lock, a damaged or deleted file."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shim.ledger import segments
from shim.ledger.adding import import_records
from shim.ledger.leftovers import read_told
from shim.ledger.reading import read_evidence, read_uses
from tests.support.disks import fill, mounted
from tests.support.ledger_records import Changes, a_call, a_use, append, kept, now, running
from tests.support.waiting import until


def ids(source: Path) -> list[str]:
    return [use["id"] for use in read_uses(source)]


@pytest.fixture
def changes() -> Changes:
    return Changes()


async def test_a_full_disk_delays_nobody_loses_nothing_and_is_told_once(
    small_disk: Path, changes: Changes
) -> None:
    source = small_disk / "ledger.db"
    async with running(source, on_change=changes) as ledger:
        first = a_use()
        assert await append(ledger, first)
        ballast = small_disk / "ballast"
        fill(ballast)
        queued = [a_use(user_agent="x" * 2000) for _ in range(300)]
        await asyncio.gather(*(append(ledger, use) for use in queued))
        await until(lambda: not ledger.state().ok)
        started = time.monotonic()
        assert not await append(ledger, last := a_use())
        assert time.monotonic() - started < 0.1
        error = ledger.state().error
        assert error is not None
        assert "full" in error or "disk I/O" in error
        await asyncio.sleep(0.5)
        assert [change.ok for change in changes] == [False]
        # Who reads the files cannot see them, but sees that there are some.
        assert len(read_evidence(source).unwritten) == 1
        ballast.unlink()
        await until(lambda: ledger.state().queued == 0)
        await until(lambda: [change.ok for change in changes] == [False, True])
        assert sorted(ids(source)) == sorted(use.id for use in [first, *queued, last])
        assert ledger.state().dropped == 0
        # Nothing was lost meanwhile, so the shim was recording throughout.
        evidence = read_evidence(source)
        assert (len(evidence.spans), evidence.unwritten) == (1, [])


async def test_a_locked_file_keeps_no_request_waiting(tmp_path: Path, changes: Changes) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, on_change=changes) as ledger:
        assert await append(ledger, a_use())
        other = sqlite3.connect(source, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        assert await asyncio.gather(*(append(ledger, a_use()) for _ in range(6))) == [True] * 6
        # Whoever reads meanwhile counts them.
        await until(lambda: not ledger.state().ok)
        assert "locked" in str(ledger.state().error)
        other.execute("COMMIT")
        other.close()
        await until(lambda: ledger.state().queued == 0 and ledger.state().ok)
        assert await append(ledger, a_use())
        assert len(set(ids(source))) == 8
    assert [change.ok for change in changes] == [False, True]


async def test_a_file_locked_at_the_start_is_used_when_it_is_let_go(
    tmp_path: Path, changes: Changes
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        await append(ledger, a_use("old"))
    other = sqlite3.connect(source, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    async with running(source, on_change=changes) as ledger:
        assert await append(ledger, a_use("new"))
        # Nobody is refused because of a ledger that cannot be read.
        assert ledger.is_known("old")
        assert ledger.is_known("stranger")
        other.execute("COMMIT")
        other.close()
        await until(lambda: ledger.state().queued == 0 and ledger.state().ok)
        assert not ledger.is_known("stranger")
        assert ledger.is_known("old")
        assert ledger.is_known("new")
    assert len(ids(source)) == 2


def something_else(source: Path) -> Callable[[], object]:
    source.parent.mkdir(parents=True)
    source.write_bytes(b"this is no database, but it was somebody's file" * 99)
    return lambda: source.rename(source.with_name("aside"))


def a_directory(source: Path) -> Callable[[], object]:
    source.mkdir(parents=True)
    return source.rmdir


def missing_folders(source: Path) -> Callable[[], object]:
    return source.parent.parent.mkdir


@pytest.mark.parametrize(
    ("prepare", "said", "journaled"),
    [
        (something_else, "is damaged (file is not a database): move it away", True),
        (a_directory, "unable to open", True),
        (missing_folders, "is missing, and so is", False),
    ],
)
async def test_what_cannot_be_opened_is_said_and_used_once_it_can_be(
    tmp_path: Path,
    changes: Changes,
    prepare: Callable[[Path], Callable[[], object]],
    said: str,
    *,
    journaled: bool,
) -> None:
    source = tmp_path / "a" / "b" / "ledger.db"
    cure = prepare(source)
    async with running(source, on_change=changes) as ledger:
        assert await append(ledger, use := a_use()) is journaled
        assert said in str(ledger.state().error)
        cure()
        await until(lambda: ledger.state().ok and ledger.state().queued == 0)
        assert ids(source) == [use.id]
        await until(lambda: [change.ok for change in changes] == [False, True])


async def test_a_missing_folder_is_made_where_its_parent_exists(tmp_path: Path) -> None:
    async with running(tmp_path / "new" / "ledger.db") as ledger:
        assert await append(ledger, a_use())


async def test_a_file_damaged_while_in_use_stops_nobody(tmp_path: Path, changes: Changes) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, on_change=changes) as ledger:
        assert await append(ledger, a_use())
    source.write_bytes(b"\x00" * 100 + source.read_bytes()[100:])
    async with running(source, on_change=changes) as ledger:
        assert await append(ledger, use := a_use())
        assert "move it away" in str(ledger.state().error)
        source.rename(tmp_path / "aside")
        await until(lambda: ledger.state().ok and ledger.state().queued == 0)
        assert ids(source) == [use.id]


async def test_a_file_deleted_while_in_use_is_begun_anew_with_what_the_journal_holds(
    tmp_path: Path, changes: Changes
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, on_change=changes) as ledger:
        assert await append(ledger, first := a_use())
        await kept(ledger)
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        await append(ledger, use := a_use())
        await until(lambda: ledger.state().ok and ledger.state().queued == 0 and source.exists())
        assert set(ids(source)) == {first.id, use.id}
        assert await append(ledger, a_use())
    assert [change.ok for change in changes] == [False, True]
    assert len(ids(source)) == 3
    assert "was removed or replaced" in str(changes[0].error)


async def test_what_memory_has_no_room_for_is_read_back_from_the_journal(
    tmp_path: Path, changes: Changes
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, on_change=changes, queue_limit=10) as ledger:
        assert await append(ledger, a_use())
        await kept(ledger)
        other = sqlite3.connect(source, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(80):
            assert await append(ledger, a_use())
        await until(lambda: not ledger.state().ok)
        other.execute("COMMIT")
        other.close()
        await until(lambda: ledger.state().written == 81)
        assert ledger.state().dropped == 0
    assert len(ids(source)) == 81
    assert read_told(source) == []
    # Nothing was lost, so the shim was recording throughout.
    assert len(read_evidence(source).spans) == 1


async def test_a_queue_that_is_full_drops_counts_and_leaves_a_gap_in_the_record(
    small_disk: Path, changes: Changes
) -> None:
    source = small_disk / "ledger.db"
    async with running(source, on_change=changes, queue_limit=10) as ledger:
        assert await append(ledger, a_use())
        await kept(ledger)
        fill(ballast := small_disk / "ballast")
        results = await asyncio.gather(
            *(append(ledger, a_use(user_agent="x" * 9000)) for _ in range(80))
        )
        await until(lambda: not ledger.state().ok)
        dropped = ledger.state().dropped
        assert dropped >= results.count(False) - 10 > 0
        ballast.unlink()
        await until(lambda: ledger.state().queued == 0 and ledger.state().ok)
    assert len(ids(source)) == 81 - dropped
    evidence = read_evidence(source)
    assert len(evidence.spans) == 2
    # Whoever reads the file later knows of it too, for as long as that may matter.
    lost = ledger.state().last_lost
    assert lost is not None
    assert abs(max(evidence.unwritten) - lost) < timedelta(seconds=10)
    assert any(change.dropped for change in changes)


async def test_counts_survive_the_time_when_nothing_can_be_written(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        other = sqlite3.connect(source, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(1000):
            ledger.count(a_call())
        await until(lambda: not ledger.state().ok)
        ledger.count(a_call())
        other.execute("COMMIT")
        other.close()
        await until(lambda: ledger.state().ok)
    assert [one.count for one in read_evidence(source).sums] == [1001]


async def test_what_is_queued_is_written_on_close(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        waiting = [asyncio.ensure_future(append(ledger, a_use())) for _ in range(500)]
        ledger.count(a_call())
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [True] * 500
    assert sum(one.count for one in read_evidence(source).sums) == 501


async def test_close_is_bounded_where_the_disk_fails(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        other = sqlite3.connect(source, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        await append(ledger, a_use())
        started = time.monotonic()
        await ledger.close(1.0)
        assert time.monotonic() - started < 4
        other.close()
    assert ledger.state().queued == 1


def test_a_journal_that_ends_while_its_disk_comes_back_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_RETRY", 0.0)
    folder = tmp_path / "away"
    files = segments.Segments(folder / "ledger.db")
    assert not files.write(b"{}\n", 1, only=False)
    folder.mkdir()
    files.close(1)
    assert files.error is None
    assert list(folder.iterdir()) == []


async def test_a_request_that_is_given_up_while_it_waits_is_recorded_all_the_same(
    tmp_path: Path,
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        task = asyncio.ensure_future(append(ledger, use := a_use()))
        await asyncio.sleep(0)
        task.cancel()
        assert await append(ledger, a_use(timestamp=now()))
        assert use.id in ids(source)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    import_records(disk / "ledger.db", [a_use()])
    mounted("--bind", str(disk), str(disk))
    try:
        mounted("-o", "remount,bind,ro", str(disk))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_read_only_disk_can_be_read_and_fails_no_request(
    read_only: Path, changes: Changes
) -> None:
    source = read_only / "ledger.db"
    assert len(ids(source)) == 1
    assert len(read_evidence(source).sums) == 1
    async with running(source, on_change=changes) as ledger:
        assert not await append(ledger, a_use())
        assert "cannot be written" in str(ledger.state().error)
        assert ledger.state().queued == 1
    assert [change.ok for change in changes] == [False]
