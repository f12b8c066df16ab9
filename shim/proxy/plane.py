"""The proxy port put together: from its socket to the connections to upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from shim.net.addresses import Address
from shim.net.descriptors import raise_limit, share
from shim.net.listening import (
    HANDSHAKE_SECONDS,
    Listener,
    TlsListener,
    listen,
    open_socket,
    remove_socket,
    serve,
    take_waiting,
    url_of,
)
from shim.proxy.admission import Admission
from shim.proxy.forwarding import Forwarder
from shim.proxy.front_server import FrontServer
from shim.proxy.handling import Proxy
from shim.proxy.old_calls import OldCalls
from shim.proxy.patience import Patience
from shim.proxy.relay import RelayLane
from shim.proxy.serving import Serving
from shim.record.plane import RecordPlane
from shim.route.in_force import Live
from shim.route.policy import Policy
from shim.settings.declared import Settings
from shim.upstream import health
from shim.upstream.node import Node, state
from shim.upstream.pool import Pool, PoolStats

# What upstreams are asked for /health as, where nothing else is said.
_PROBED_HOST: Final = b"restate"
# For so long after SIGTERM idle connections stay open: what is on its way on them is served, and
# its answer says that the connection closes, which no caller takes for a failure.
_SETTLE_SECONDS: Final = 0.5


class ProxyPlane:
    """Serves callers.  Its address is taken at once; nobody is served before :meth:`start`."""

    def __init__(self, settings: Settings, record: RecordPlane) -> None:
        loop = asyncio.get_running_loop()
        scheme = "https" if settings.tls_cert else "http"
        self._settings = settings
        self._record = record
        descriptors = raise_limit()
        wanted = settings.max_connections, settings.max_upstream_connections
        shares = share(descriptors, *wanted, tls=settings.tls_cert is not None)
        if shares[:2] != wanted:
            record.logger.warning(
                "connections_limited",
                **shares._asdict(),
                descriptors=descriptors,
                hint="more descriptors (ulimit -n, LimitNOFILE) are needed for --max-connections "
                "and --max-upstream-connections",
            )
        self._handshakes = shares.handshakes
        self._pool = Pool(
            [Node(address, record.logger, record.witness) for address in settings.upstream],
            tls=settings.upstream_tls(),
            connect_timeout=settings.connect_timeout.total_seconds(),
            answer_timeout=settings.upstream_timeout.total_seconds(),
            most=shares.upstream,
            most_waiting=settings.max_waiting,
            loop=loop,
        )
        recorder, incidents = record.recorder, record.incidents
        upstream_host = settings.upstream_host
        lane = RelayLane(
            self._pool,
            recorder,
            scheme=scheme.encode(),
            max_body=settings.max_body,
            upstream_host=upstream_host,
        )
        forwarder = Forwarder(
            self._pool,
            incidents,
            trusted_proxies=settings.trusted_proxies,
            scheme=scheme.encode(),
            default_host=_default_host(settings.upstream[0]),
            upstream_host=upstream_host,
        )
        self._proxy = Proxy(
            forwarder,
            OldCalls(forwarder, recorder, incidents),
            recorder,
            incidents,
            self._live(settings),
            caller_sources=settings.caller,
            trusted_proxies=settings.trusted_proxies,
        )
        patience = Patience(
            settings.client_timeout.total_seconds(),
            settings.body_timeout.total_seconds(),
            settings.min_body_rate,
        )
        self._serving = Serving(
            handle=self._proxy.handle,
            lane=lane,
            incidents=incidents,
            admission=Admission(shares.callers, settings.max_connections_per_address),
            most_requests=settings.max_requests_per_connection,
            head_timeout=min(settings.head_timeout.total_seconds(), patience.stall),
            patience=patience,
            keepalive_timeout=settings.keepalive_timeout.total_seconds(),
        )
        self._server = FrontServer(self._serving)
        # Read once: its files may be half replaced by the time that they are needed again.
        self._tls = settings.server_tls()
        self._listening: Listener | TlsListener | None = None
        self._socket = open_socket(settings.listen, "--listen")
        self.url = url_of(self._socket, scheme)

    @property
    def live(self) -> Live:
        """What may change while the shim runs, as it is now."""
        return self._proxy.live

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return self._proxy.in_flight + self._serving.lane.in_flight

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken any more."""
        return self._serving.draining

    @property
    def connections(self) -> int:
        """How many connections from callers there are."""
        return self._serving.admission.open

    @property
    def upstream_connections(self) -> PoolStats:
        """The connections to upstream, in numbers."""
        return self._pool.count()

    def apply(self, settings: Settings, _: Settings) -> None:
        """Put other settings in force, as far as they can change."""
        self._proxy.live = self._live(settings)

    async def try_upstream(self) -> None:
        """See once whether upstream is there."""
        await health.try_once(self._pool)

    async def watch_upstream(self) -> None:
        """Ask the upstreams that do not answer, until cancelled."""
        await health.watch(self._pool, self._settings.upstream_host or _PROBED_HOST)

    @property
    def upstream_state(self) -> Mapping[str, Any]:
        """Whether there is an upstream that answers: the part of ``/ready``."""
        return state(self._pool.nodes)

    async def start(self) -> None:
        """Serve from now on."""
        loop = asyncio.get_running_loop()
        if self._tls is None:
            self._listening = await listen(loop, self._server, self._socket)
        else:
            self._listening = TlsListener(
                loop,
                self._server,
                self._socket,
                self._tls,
                handshake_timeout=self._settings.head_timeout.total_seconds(),
                most=self._handshakes,
            )

    async def drain(self) -> None:
        """Take nothing new, let what is in flight finish in time, then cut it off."""
        grace = self._settings.shutdown_grace.total_seconds()
        logger, server = self._record.logger, self._server
        logger.info("draining", in_flight=self.in_flight, grace_seconds=grace)
        server.drain()
        if self._listening is not None:
            loop = asyncio.get_running_loop()
            # While it is ours: another shim may take the path as soon as nobody listens there.
            remove_socket(self._settings.listen)
            waiting = take_waiting(self._socket)
            self._listening.close()
            await serve(loop, server, waiting, self._tls)
        began = monotonic()
        while self._is_busy(monotonic() - began) and monotonic() - began < grace:
            if monotonic() - began > _SETTLE_SECONDS:
                server.close_idle()
            await asyncio.sleep(0.01)
        if self.in_flight:
            logger.warning("drain_cut_off", in_flight=self.in_flight)
        await server.shutdown(timeout=0.1)

    def _is_busy(self, since: float) -> bool:
        """Tell whether somebody is to be waited for; who shakes hands by TLS, for a while."""
        shaking = isinstance(self._listening, TlsListener) and self._listening.shaking
        return self._server.busy or (shaking and since < HANDSHAKE_SECONDS)

    def close(self) -> None:
        """Let go of upstream and of the address."""
        self._pool.close()
        if self._listening is None:
            remove_socket(self._settings.listen)
        self._socket.close()

    def _live(self, settings: Settings) -> Live:
        record = self._record
        policy = Policy(settings.terms, clock=record.clock, is_known=record.ledger.is_known)
        return Live(policy, settings.replies, settings.notice)


def _default_host(address: Address) -> bytes:
    return b"localhost" if address.path else str(address).encode()
