"""Whether upstream answers: seen from the traffic, and asked only while it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from shim.upstream.connection import Connection
from shim.upstream.errors import OUTAGES, UpstreamError, UpstreamTimeoutError
from shim.upstream.pool import Pool

_RETRY_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 5.0
_PROBE: Final = b"GET /health HTTP/1.1\r\nHost: restate\r\nUser-Agent: restate-shim\r\n\r\n"


class UpstreamHealth:
    """Says once when upstream stops answering and once when it answers again.

    While all is well it costs upstream nothing.  Where connecting failed, connecting again is the
    test; where an answer did not come, ``GET /health`` is.
    """

    def __init__(self, pool: Pool, logger: FilteringBoundLogger) -> None:
        self._pool = pool
        self._logger = logger
        self._task: asyncio.Task[None] | None = None
        self.failure: UpstreamError | None = None
        self._known = False

    async def start(self) -> None:
        """Try upstream once; the connection serves the first request."""
        try:
            self._pool.keep(await self._pool.connect(), monotonic())
        except UpstreamError as error:
            self.failed(error)
        else:
            self._known = True

    def failed(self, error: UpstreamError) -> None:
        """Note a failure; the first one starts asking."""
        if error.kind not in OUTAGES or self.failure is not None:
            return
        self._known = True
        self.failure = error
        self._logger.warning("upstream_unreachable", kind=error.kind, error=str(error))
        self._task = asyncio.get_running_loop().create_task(self._ask(error))

    def answered(self) -> None:
        """Note that upstream answered."""
        if self.failure is not None:
            self.failure = None
            self._logger.info("upstream_reachable")
            if self._task is not None:
                self._task.cancel()
                self._task = None

    def state(self) -> Mapping[str, Any]:
        """Return the part of ``/ready``."""
        if self.failure is not None:
            return {"ok": False, "error": str(self.failure)}
        return {"ok": self._known} if self._known else {"ok": False, "error": "not tried yet"}

    def stop(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()

    async def _ask(self, error: UpstreamError) -> None:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                connection = await self._pool.connect()
                if error.kind == "timeout":
                    await self._probe(connection)
                else:
                    self._pool.keep(connection, monotonic())
            except UpstreamError as again:
                error = again
                self.failure = again
            else:
                self._task = None
                self.answered()
                return

    async def _probe(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                connection.send(_PROBE, head_only=False)
                while (await connection.next_head()).interim:
                    pass
        except TimeoutError:
            raise UpstreamTimeoutError("timeout", "Upstream does not answer /health") from None
        finally:
            self._pool.give_back(connection)
