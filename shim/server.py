"""Puts the planes together, starts them, and ends them in the right order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine

from shim.ops.phase import headers_of
from shim.ops.plane import OpsPlane
from shim.proxy.plane import ProxyPlane
from shim.record.log import LineWriter, Logger
from shim.record.plane import RecordPlane
from shim.settings.declared import Settings
from shim.settings.reload import Reload


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    logger: Logger,
    writer: LineWriter,
    *,
    reread: Callable[[], Settings],
    asked: asyncio.Event,
) -> AsyncIterator[None]:
    """Serve until the body of the ``async with`` ends, then drain.

    ``logger`` writes to ``writer``; ``reread`` loads the settings anew, when their file changes or
    when ``asked`` is set.
    """
    async with contextlib.AsyncExitStack() as stack:
        record = RecordPlane(settings, logger, writer)
        proxy = stack.enter_context(contextlib.closing(ProxyPlane(settings, record)))
        reload = Reload(settings, reread, logger, asked)
        ops = await stack.enter_async_context(
            contextlib.aclosing(OpsPlane(settings, record, proxy, reload))
        )
        reload.follow(proxy.apply)
        reload.follow(ops.phases.changed)

        record.start()
        stack.push_async_callback(record.finish)
        await proxy.try_upstream()
        await ops.start()
        await proxy.start()
        record.serving(
            proxy=proxy.url,
            ops=ops.url,
            upstream=",".join(address.url for address in settings.upstream),
            phase=settings.phase,
            phases=ops.phases.shown,
            replies=settings.replies,
            **headers_of(settings),
            ledger=str(settings.ledger or "memory"),
        )
        watches = watching(
            logger,
            heartbeat=record.beat(),
            upstream=proxy.watch_upstream(),
            settings=reload.watch(),
            phases=ops.watch_phases(),
            callers=ops.count_callers(),
        )
        try:
            async with watches:
                yield
        finally:
            await proxy.drain()


@contextlib.asynccontextmanager
async def watching(logger: Logger, **watches: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let these go on until the end of the ``async with``; one that fails is told."""

    def tell(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("watch_failed", watch=task.get_name(), exc_info=error)

    tasks = [asyncio.create_task(watch, name=name) for name, watch in watches.items()]
    for task in tasks:
        task.add_done_callback(tell)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
