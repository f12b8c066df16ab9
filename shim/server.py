"""Puts the parts together, opens both listeners, and ends them in the right order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import uuid_utils
from aiohttp import web
from prometheus_client import CollectorRegistry

from shim import __version__
from shim.http1.fields import Field
from shim.ledger.ledger import Ledger
from shim.net.addresses import Address
from shim.net.listening import listen, open_socket, remove_socket, url_of
from shim.ops.app import make_app
from shim.ops.phase import PhaseWatch, describe, headers_of
from shim.ops.readiness import Readiness, ledger_part, ledger_watch
from shim.ops.usage_page import Usage, count_callers
from shim.proxy.forwarding import Forwarder
from shim.proxy.front import FrontServer
from shim.proxy.handling import Proxy
from shim.proxy.old_calls import OldCalls
from shim.proxy.relay import RelayLane
from shim.record.log import Logger
from shim.record.metrics import Metrics
from shim.record.numbers import Sources
from shim.record.recorder import Recorder, beat
from shim.route.in_force import Live
from shim.route.notice import deprecation_fields
from shim.route.policy import Policy
from shim.settings.reload import Reload
from shim.settings.table import Settings
from shim.upstream.health import UpstreamHealth
from shim.upstream.pool import Pool


@dataclass(frozen=True)
class Running:
    """A shim that serves: where it listens, and its parts."""

    proxy_url: str
    ops_url: str
    proxy: Proxy
    server: FrontServer


def utc_now() -> datetime:
    """Return the time: the clock of production."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an id: UUIDv7, which sort by time (RFC 9562 section 5.7)."""
    return str(uuid_utils.uuid7())


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    logger: Logger,
    *,
    clock: Callable[[], datetime] = utc_now,
    ids: Callable[[], str] = new_id,
    reread: Callable[[], Settings] | None = None,
    asked: asyncio.Event | None = None,
    lines_dropped: Callable[[], int] | None = None,
) -> AsyncIterator[Running]:
    """Serve until the body of the ``async with`` ends, then drain.

    ``reread`` loads the settings anew, when their file changes or when ``asked`` is set;
    ``lines_dropped`` tells how many lines of the log were lost.
    """
    loop = asyncio.get_running_loop()
    scheme = "https" if settings.tls_cert else "http"
    async with contextlib.AsyncExitStack() as stack:
        proxy_socket = stack.enter_context(open_socket(settings.listen, "--listen"))
        stack.callback(remove_socket, settings.listen)
        ops_socket = stack.enter_context(open_socket(settings.ops_listen, "--ops-listen"))
        stack.callback(remove_socket, settings.ops_listen)
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        metrics.build(__version__)
        pool = Pool(
            settings.upstream,
            tls=settings.upstream_tls(),
            connect_timeout=settings.connect_timeout.total_seconds(),
            answer_timeout=settings.upstream_timeout.total_seconds(),
            loop=loop,
        )
        health = UpstreamHealth(pool, logger)
        ledger = Ledger(
            settings.ledger,
            instance=settings.instance,
            clock=clock,
            on_change=ledger_watch(logger, metrics),
            retain=settings.retain,
            fleet_url=settings.fleet,
        )
        ledger.start()
        stack.push_async_callback(ledger.close)
        phases = PhaseWatch(settings, ledger, metrics, logger, clock)
        recorder = Recorder(
            logger, ledger, metrics, clock=clock, new_id=ids, instance=settings.instance
        )
        recorder_and_pool = (pool, health, recorder)
        lane = RelayLane(*recorder_and_pool, scheme=scheme.encode(), max_body=settings.max_body)
        forwarder = Forwarder(
            *recorder_and_pool,
            trusted_proxies=settings.trusted_proxies,
            scheme=scheme.encode(),
            default_host=_default_host(settings.upstream[0]),
            loop=loop,
        )
        proxy = Proxy(
            forwarder,
            OldCalls(forwarder, recorder, loop),
            recorder,
            logger,
            _live(settings, ledger, clock),
            caller_sources=settings.caller,
            trusted_proxies=settings.trusted_proxies,
        )
        reload = Reload(
            settings,
            reread or (lambda: settings),
            _applier(proxy, ledger, clock, phases),
            logger,
            asked,
        )
        metrics.sources = Sources(
            in_flight=lambda: proxy.in_flight + lane.in_flight,
            draining=lambda: proxy.draining,
            connections=pool.count,
            ledger=ledger.state,
            log_lines_dropped=lines_dropped,
            config_ok=lambda: reload.state.ok,
        )
        server = FrontServer(
            proxy.handle,
            lane,
            unreadable=proxy.unreadable,
            crashed=proxy.crashed,
            stall_timeout=settings.client_timeout.total_seconds(),
            keepalive_timeout=settings.keepalive_timeout.total_seconds(),
            max_body=settings.max_body,
        )
        readiness = Readiness(
            {
                "upstream": health.state,
                "ledger": lambda: ledger_part(ledger.state()),
                "draining": lambda: {"ok": not proxy.draining},
            },
            {"config": reload.as_dict},
        )
        usage = Usage(
            settings.fleet or ledger.source,
            ledger.source,
            ledger.state,
            lambda: reload.settings.callers,
            reload.why_rejected,
            clock=clock,
            instance=settings.instance,
        )
        await health.start()
        stack.callback(pool.close)
        stack.callback(health.stop)
        runner = web.AppRunner(
            make_app(
                readiness,
                registry,
                usage,
                lambda caller: describe(proxy.live, reload, caller),
                token=settings.ops_token,
            ),
            access_log=None,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, ops_socket).start()
        listening = await listen(loop, server, proxy_socket, settings.server_tls())
        where = Running(url_of(proxy_socket, scheme), url_of(ops_socket, "http"), proxy, server)
        logger.info(
            "listening",
            proxy=where.proxy_url,
            ops=where.ops_url,
            upstream=",".join(address.url for address in settings.upstream),
            phase=settings.phase,
            phases=phases.shown,
            replies=settings.replies,
            **headers_of(settings),
            ledger=str(settings.ledger or "memory"),
            instance=settings.instance,
            version=__version__,
        )
        tasks = [
            loop.create_task(always)
            for always in (
                beat(recorder, logger, settings.instance),
                reload.watch(),
                phases.watch(),
                count_callers(usage, metrics, logger, most=settings.metrics_callers),
            )
        ]
        try:
            yield where
        finally:
            for task in tasks:
                task.cancel()
            await _drain(listening, where, logger, settings.shutdown_grace.total_seconds())
            recorder.tell_sums()
            await ledger.close()
            if lost := ledger.state().queued:
                logger.error(
                    "uses_not_in_ledger",
                    count=lost,
                    hint="restate-shim import brings them back from these lines",
                    instance=settings.instance,
                )
            logger.info("stopped", instance=settings.instance)


async def _drain(listening: asyncio.Server, where: Running, logger: Logger, grace: float) -> None:
    """Take nothing new, let what is in flight finish for ``grace`` seconds, then cut it off."""
    proxy, server = where.proxy, where.server
    in_flight = proxy.in_flight + server.lane.in_flight
    logger.info("draining", in_flight=in_flight, grace_seconds=grace)
    proxy.draining = server.draining = True
    server.lane.open = False
    listening.close()
    end = asyncio.get_running_loop().time() + grace
    while server.connections and asyncio.get_running_loop().time() < end:
        server.close_idle()
        await asyncio.sleep(0.01)
    if in_flight := proxy.in_flight + server.lane.in_flight:
        logger.warning("drain_cut_off", in_flight=in_flight)
    await server.shutdown(timeout=0.1)


def _live(settings: Settings, ledger: Ledger, clock: Callable[[], datetime]) -> Live:
    policy = Policy(settings, clock=clock, is_known=ledger.is_known)
    return Live(policy, settings.replies, _deprecation(settings))


def _deprecation(settings: Settings) -> Callable[[bytes | None], list[Field]]:
    if settings.no_headers:
        return lambda _: []
    return deprecation_fields(
        since=settings.deprecated_since,
        sunset=settings.sunset,
        docs_url=settings.docs_url,
        warning=settings.warning_header,
    )


def _applier(
    proxy: Proxy, ledger: Ledger, clock: Callable[[], datetime], phases: PhaseWatch
) -> Callable[[Settings, Settings], None]:
    def apply(settings: Settings, before: Settings) -> None:
        proxy.live = _live(settings, ledger, clock)
        phases.changed(settings, before)

    return apply


def _default_host(address: Address) -> bytes:
    return b"localhost" if address.path else str(address).encode()
