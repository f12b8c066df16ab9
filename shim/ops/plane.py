"""The ops port put together: what the shim says of itself, and to whom."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from shim.net.listening import Listener, listen, open_socket, remove_socket, url_of
from shim.ops.app import make_app
from shim.ops.callers import count_callers
from shim.ops.pages import Pages
from shim.ops.phase import PhaseWatch
from shim.ops.readiness import Readiness
from shim.ops.reports import Reports
from shim.proxy.plane import ProxyPlane
from shim.record.exposition import Numbers
from shim.record.plane import RecordPlane
from shim.settings.declared import Settings
from shim.settings.reload import Reload

# It is for probes, scrapers and people: what is more, or idle for longer, is none of these.
_MOST_CONNECTIONS: Final = 32
_IDLE_SECONDS: Final = 15.0


class OpsPlane:
    """Serves the shim's own endpoints.  Its address is taken at once, as the proxy's is."""

    def __init__(
        self, settings: Settings, record: RecordPlane, proxy: ProxyPlane, reload: Reload
    ) -> None:
        self._settings = settings
        self._record = record
        self._proxy = proxy
        self._reload = reload
        self.phases = PhaseWatch(record, proxy, reload)
        self._reports = Reports(record.ledger, reload, clock=record.clock)
        record.metrics.numbers = self.numbers
        self._runner = web.AppRunner(
            make_app(
                Readiness(proxy, record.ledger, reload),
                record.registry,
                Pages(self._reports, record.ledger, reload),
                self.phases,
                token=settings.ops_token,
            ),
            access_log=None,
            keepalive_timeout=_IDLE_SECONDS,
            shutdown_timeout=1.0,
        )
        self._listening: Listener | None = None
        self._socket = open_socket(settings.ops_listen, "--ops-listen")
        self.url = url_of(self._socket, "http")

    def numbers(self) -> Numbers:
        """Return what the parts of the shim count themselves."""
        heard = self._record.witness.heard
        return Numbers(
            in_flight=self._proxy.in_flight,
            upstream_up=bool(self._proxy.upstream_state["ok"]),
            draining=self._proxy.draining,
            connections=self._proxy.connections,
            upstream_connections=self._proxy.upstream_connections,
            ledger=self._record.ledger.state(),
            log_lines_dropped=self._record.log_lines_dropped,
            config_ok=self._reload.state.ok,
            clock_offset=None if heard is None else heard.offset.total_seconds(),
        )

    async def start(self) -> None:
        """Tell of the first phase, and answer from now on."""
        self.phases.start()
        await self._runner.setup()
        self._listening = await listen(asyncio.get_running_loop(), self._protocol, self._socket)

    def _protocol(self) -> asyncio.Protocol:
        """Take one more connection; the oldest makes room, so that probes always come through."""
        server = self._runner.server
        assert server is not None
        # Without those that are being closed.
        there = [one for one in server.connections if one.transport is not None]
        if len(there) >= _MOST_CONNECTIONS:
            there[0].force_close()
        return server()

    async def watch_phases(self) -> None:
        """Tell of other phases, until cancelled."""
        await self.phases.watch()

    async def count_callers(self) -> None:
        """Tell the metrics who uses the old route, until cancelled."""
        record, most = self._record, self._settings.metrics_callers
        await count_callers(self._reports, record.metrics, record.logger, most=most)

    async def aclose(self) -> None:
        """Answer no more."""
        # While it is ours: another shim may take the path as soon as nobody listens there.
        remove_socket(self._settings.ops_listen)
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()
        self._socket.close()
