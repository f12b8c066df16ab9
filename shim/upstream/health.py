"""Asks upstreams that do not answer whether they do again, and silent ones whether they do."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from shim.upstream.connection import Connection
from shim.upstream.errors import UpstreamError, UpstreamTimeoutError
from shim.upstream.node import Node
from shim.upstream.pool import Pool

_TICK_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 8.0
_SILENT_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 5.0
_PROBE: Final = b"GET /health HTTP/1.1\r\nHost: %b\r\nUser-Agent: restate-shim\r\n\r\n"


async def try_once(pool: Pool) -> None:
    """Find out whether there is an upstream; the connection serves the first request."""
    try:
        connection = await pool.get()
    except UpstreamError:
        # The node has taken note of it.
        return
    now = monotonic()
    connection.node.answered(now)
    pool.keep(connection, now)


async def watch(pool: Pool, host: bytes) -> None:
    """Ask the upstreams, by the name of ``host``, until cancelled.

    One that fails is asked again and again, with pauses that grow; what goes through tells of the
    others.  One that has been silent for a while is looked at: where there is another to go to it
    is asked, and a single one has to take a connection, which costs it next to nothing.
    """
    async with asyncio.TaskGroup() as group:
        for node in pool.nodes:
            group.create_task(_watch(pool, node, host if len(pool.nodes) > 1 else None))


async def _watch(pool: Pool, node: Node, host: bytes | None) -> None:
    pause = _TICK_SECONDS
    while True:
        await asyncio.sleep(pause)
        now = monotonic()
        silent = now - node.answered_at > _SILENT_SECONDS
        if node.failure is None and not silent:
            pause = _TICK_SECONDS
        elif now - node.failed_at < _TICK_SECONDS:
            # It has only just been asked.
            continue
        elif await _answers(pool, node, host):
            node.answered(monotonic())
            pause = _TICK_SECONDS
        else:
            pause = min(2 * pause, _MOST_SECONDS)


async def _answers(pool: Pool, node: Node, host: bytes | None) -> bool:
    """Look at ``node``, and ask it by the name of ``host``, if there is one.

    Where it could not be reached, that it can be is enough.
    """
    connecting = node.failure is not None and node.failure.kind != "timeout"
    try:
        connection = await pool.open(node)
        if connecting:
            pool.keep(connection, monotonic())
        elif host is not None:
            await _probe(pool, connection, host)
        else:
            connection.abort()
    except UpstreamError as error:
        node.failed(error, monotonic())
        return False
    return True


async def _probe(pool: Pool, connection: Connection, host: bytes) -> None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            connection.send(_PROBE % host, head_only=False)
            while (await connection.answering.next_head()).interim:
                pass
    except TimeoutError:
        raise UpstreamTimeoutError("timeout", "Upstream does not answer /health") from None
    finally:
        pool.give_back(connection)
