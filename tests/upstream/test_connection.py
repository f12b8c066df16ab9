from __future__ import annotations

import asyncio
import tracemalloc

from shim.upstream.connection import Connection
from shim.upstream.pool import Pool
from tests.proxy.agreement import Wire
from tests.support.nodes import a_node

LARGE = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000


# What a connection remembers of small answers held on to the last large one too.
async def test_an_idle_connection_keeps_nothing_of_a_large_answer() -> None:
    loop = asyncio.get_running_loop()
    pool = Pool(
        [], tls=None, connect_timeout=5, answer_timeout=5, most=100, most_waiting=0, loop=loop
    )
    connection = Connection(loop, pool, a_node(9070))
    connection.connection_made(Wire())
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
