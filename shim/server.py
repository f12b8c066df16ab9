"""Puts the planes together, starts them, and ends them in the right order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from shim import __version__
from shim.ledger import events
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
        stack.push_async_callback(record.ledger.close)
        await proxy.try_upstream()
        await ops.start()
        await proxy.start()
        logger.info(
            events.LISTENING,
            proxy=proxy.url,
            ops=ops.url,
            upstream=",".join(address.url for address in settings.upstream),
            phase=settings.phase,
            phases=ops.phases.shown,
            replies=settings.replies,
            **headers_of(settings),
            ledger=str(settings.ledger or "memory"),
            instance=settings.instance,
            run=record.run,
            version=__version__,
        )
        watches = [
            asyncio.create_task(watch)
            for watch in (
                record.beat(),
                proxy.watch_upstream(),
                reload.watch(),
                ops.watch_phases(),
                ops.count_callers(),
            )
        ]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await proxy.drain()
            await record.finish()
            requests = record.recorder.take_requests()
            logger.info(
                events.STOPPED, instance=settings.instance, run=record.run, requests=requests
            )
