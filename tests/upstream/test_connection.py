from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from shim.upstream.connection import Connection
from shim.upstream.pool import Pool
from tests.proxy.agreement import Wire
from tests.support.nodes import a_node

LARGE = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000


@pytest.fixture
async def pool() -> Pool:
    loop = asyncio.get_running_loop()
    return Pool(
        [], tls=None, connect_timeout=5, answer_timeout=5, most=100, most_waiting=0, loop=loop
    )


def connected(pool: Pool) -> tuple[Connection, Wire]:
    connection, wire = Connection(asyncio.get_running_loop(), pool, a_node(9070)), Wire()
    connection.connection_made(wire)
    return connection, wire


# It waited to have sent the rest of the request, and its caller waited with it for ever.
async def test_an_upstream_that_has_said_its_last_is_not_written_to_any_more(pool: Pool) -> None:
    connection, wire = connected(pool)
    connection.send(b"POST / HTTP/1.1\r\n\r\n", head_only=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nall of")
    connection.eof_received()
    assert wire.aborted
    connection.connection_lost(None)
    assert connection.answering.ended
    assert connection.answering.body.take() == b"all of"


# One place for a connection was lost for good each time.
@pytest.mark.parametrize("upstream", ["leaves", "has not read all"])
async def test_a_connection_that_no_request_can_follow_on_is_not_kept(
    upstream: str, pool: Pool
) -> None:
    connection, wire = connected(pool)
    connection.send(b"POST / HTTP/1.1\r\n\r\n" + b"x" * 100_000, head_only=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    if upstream == "leaves":
        wire.close()
    else:
        wire.unsent = 1
    pool.give_back(connection)
    assert wire.aborted


async def test_an_idle_connection_that_is_closing_is_given_up_where_it_is_found(pool: Pool) -> None:
    connection, wire = connected(pool)
    pool.keep(connection, 0.0)
    wire.close()
    assert pool.take() is None
    assert wire.aborted


# What a connection remembers of small answers held on to the last large one too.
async def test_an_idle_connection_keeps_nothing_of_a_large_answer(pool: Pool) -> None:
    connection, _ = connected(pool)
    tracemalloc.start()
    try:
        connection.send(b"GET / HTTP/1.1\r\n\r\n", head_only=False)
        connection.data_received(LARGE)
        assert (await connection.answering.next_head()).length == 200_000
        assert len(connection.answering.body.take()) == 200_000
        assert connection.end_exchange()
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
