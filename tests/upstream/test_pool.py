"""Who waits for a connection gets one in turn, whoever else gives up meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from shim.clocks import Witness
from shim.net.addresses import Address
from shim.upstream.connection import Connection
from shim.upstream.errors import UpstreamBusyError, UpstreamError
from shim.upstream.node import Node
from shim.upstream.pool import Pool
from tests.support.ledger_records import now
from tests.support.nodes import a_node, quiet


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing, until the other side leaves."""
    await reader.read()
    writer.close()


@pytest.fixture
async def server() -> AsyncIterator[asyncio.Server]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server
    server.close()


@pytest.fixture
async def pool(server: asyncio.Server) -> AsyncIterator[Pool]:
    """One connection at a time, and three that wait."""
    port = server.sockets[0].getsockname()[1]
    pool = Pool(
        [a_node(port)],
        tls=None,
        connect_timeout=5,
        answer_timeout=5,
        most=1,
        most_waiting=3,
        loop=asyncio.get_running_loop(),
    )
    yield pool
    pool.close()


async def waiting(pool: Pool, count: int) -> list[asyncio.Task[Connection]]:
    tasks = [asyncio.create_task(pool.get()) for _ in range(count)]
    await asyncio.sleep(0)
    assert pool.count().waiting == count
    return tasks


async def test_a_connection_given_back_goes_to_the_first_in_line(pool: Pool) -> None:
    only = await pool.get()
    first, second = await waiting(pool, 2)
    pool.keep(only, monotonic())
    assert await first is only
    assert not second.done()
    pool.keep(only, monotonic())
    assert await second is only
    assert (pool.count().opened, pool.count().waiting) == (1, 0)


async def test_nobody_overtakes_those_in_line(pool: Pool) -> None:
    only = await pool.get()
    first, second = await waiting(pool, 2)
    pool.keep(only, monotonic())
    assert pool.take() is None
    assert await first is only
    assert not second.done()


async def test_more_than_may_wait_are_told_so(pool: Pool) -> None:
    await pool.get()
    await waiting(pool, 3)
    with pytest.raises(UpstreamBusyError):
        await pool.get()


@pytest.mark.parametrize("gave_back", [False, True], ids=["before a turn", "with its turn"])
async def test_who_gives_up_hands_the_turn_on(pool: Pool, gave_back: bool) -> None:
    only = await pool.get()
    leaves, stays = await waiting(pool, 2)
    if gave_back:
        pool.keep(only, monotonic())
    leaves.cancel()
    if not gave_back:
        # The one that has been cancelled is still in line.
        pool.keep(only, monotonic())
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert await stays is only


@pytest.mark.parametrize("leaving", [False, True], ids=["it stays", "it leaves too"])
async def test_a_connection_that_closes_makes_room_for_another(pool: Pool, leaving: bool) -> None:
    only = await pool.get()
    first, second = await waiting(pool, 2)
    only.abort()
    # As the connection does when it is told that it has closed.
    pool.forget(only)
    if leaving:
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        first = second
    connection = await first
    assert connection is not only
    assert pool.count().opened == 2


async def test_one_that_closed_on_its_way_to_who_waits_is_replaced(pool: Pool) -> None:
    only = await pool.get()
    (first,) = await waiting(pool, 1)
    pool.keep(only, monotonic())
    only.abort()
    assert await first is not only


async def test_an_upstream_that_is_away_lets_all_in_line_fail(
    pool: Pool, server: asyncio.Server
) -> None:
    only = await pool.get()
    tasks = await waiting(pool, 3)
    server.close()
    only.abort()
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in failed] == [UpstreamError] * 3
    assert pool.count().waiting == 0


# Python 3.13 says UnicodeEncodeError where 3.12 says UnicodeError.
async def test_a_host_that_no_name_can_be_cannot_be_reached(pool: Pool) -> None:
    node = Node(Address("a..b", 1), quiet(), Witness(now, quiet()))
    with pytest.raises(UpstreamError, match=r"cannot be reached: Unicode(Encode)?Error"):
        await pool.open(node)
