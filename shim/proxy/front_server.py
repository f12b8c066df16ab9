"""The connections from callers: aiohttp's low-level server, and its handler."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Final

from aiohttp import web

from shim.proxy.downstream import DownstreamGoneError
from shim.proxy.front import Front
from shim.proxy.incoming import Incoming
from shim.proxy.seams import CLOSES, PERSISTS, Request, Sent
from shim.proxy.serving import Serving

_SWEEP_SECONDS: Final = 1.0


class Taken(Request):
    """A request, and the connection that it came on."""

    def __init__(self, incoming: Incoming, front: Front) -> None:
        super().__init__()
        self.incoming = incoming
        self.front = front


class FrontServer(web.Server):
    """aiohttp's low-level server, making :class:`Front` connections."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(self._handle, request_factory=self._take)  # type: ignore[arg-type]  # ours
        self._serving = serving
        self._tick = min(_SWEEP_SECONDS, serving.head_timeout / 8, serving.keepalive_timeout / 8)
        self._sweeper: asyncio.TimerHandle | None = None

    def __call__(self) -> Front:
        """Make the protocol of a new connection, which may have to shake hands first."""
        return Front(self, self._serving, loop=self._loop)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Watch over one more connection."""
        super().connection_made(handler, transport)
        self._watch()

    def drain(self) -> None:
        """Take one more request on each connection at most: its answer says that it closes."""
        self._serving.draining = True
        for connection in self._fronts():
            connection.leave()

    def close_idle(self) -> None:
        """Close the connections on which no request is under way."""
        for connection in self._fronts():
            connection.close_idle()

    @property
    def busy(self) -> bool:
        """Whether there are connections, or requests of some that have gone."""
        return bool(self.connections or self._serving.tasks)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        """Cut off what is under way."""
        await super().shutdown(timeout)
        tasks = list(self._serving.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    def _fronts(self) -> list[Front]:
        return [one for one in self.connections if isinstance(one, Front)]

    def _watch(self) -> None:
        """Sweep over the connections from now on, as long as there are any."""
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._tick, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = monotonic()
        for connection in self._fronts():
            connection.check(now)
        if self.connections:
            self._watch()

    @staticmethod
    def _take(incoming: Incoming, payload: Any, front: Front, writer: Any, task: Any) -> Taken:
        del payload, writer, task
        front.taken()
        return Taken(incoming, front)

    async def _handle(self, taken: Taken) -> Sent:
        front, incoming = taken.front, taken.incoming
        try:
            await self._serving.handle(incoming)
        except DownstreamGoneError:
            if incoming.gone:
                self._serving.incidents.caller_left(front.peer)
            return _broken_off(front, incoming)
        finally:
            if incoming.relayed is not None:
                incoming.relayed.abort()
        if incoming.persists:
            front.next_message(monotonic())
            return PERSISTS
        await front.linger()
        return CLOSES


def _broken_off(front: Front, incoming: Incoming) -> Sent:
    """Close, though the answer has not ended, so that nobody takes that for its end."""
    if incoming.until_close:
        front.reset()
    front.force_close()
    return CLOSES
