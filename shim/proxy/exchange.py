"""An answer on its way from upstream, byte for byte, and the end of the exchange."""

from __future__ import annotations

import asyncio

from shim.http1.answers import AnswerHead
from shim.proxy.downstream import Downstream
from shim.upstream.connection import Connection
from shim.upstream.errors import UpstreamError
from shim.upstream.pool import Pool


class Exchange:
    """An answer whose head has come, and the connection that the rest of it comes from."""

    def __init__(
        self,
        downstream: Downstream,
        pool: Pool,
        connection: Connection,
        answer: AnswerHead,
        *,
        pump: asyncio.Task[None] | None,
        seconds: float,
    ) -> None:
        self.answer = answer
        self.seconds = seconds
        """How long it took until the answer began."""
        self._downstream = downstream
        self._pool = pool
        self._connection = connection
        self._answering = connection.answering
        self._pump = pump
        self._open = True

    def close(self) -> None:
        """Give the connection back, once; one with half a request on it is closed."""
        if not self._open:
            return
        self._open = False
        self._downstream.upstream = None
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            self._connection.abort()
        self._pool.give_back(self._connection)

    async def read_whole(self, limit: int) -> bytes:
        """Return the whole body and end the exchange; raise ``UpstreamError`` past ``limit``."""
        try:
            body = self._answering.body
            pieces, size = [], 0
            while piece := body.take() if body.ended else await self._read_in_time():
                size += len(piece)
                if size > limit:
                    message = "Upstream's answer is far larger than expected"
                    raise UpstreamError("bad_answer", message)
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self.close()

    async def _read_in_time(self) -> bytes:
        seconds = self._pool.answer_timeout
        try:
            async with asyncio.timeout(seconds):
                return b"".join(await self._answering.body.read())
        except TimeoutError:
            raise UpstreamError("stalled", f"Upstream sent nothing for {seconds:g} s") from None

    async def send_down(self) -> None:
        """Send the answer down as it came; :meth:`close` is the caller's to do behind it."""
        downstream, answer, body = self._downstream, self.answer, self._answering.body
        if body.ended:
            content, raw = body.take(), self._answering.raw
            # Others need not wait for a caller that reads slowly.
            self.close()
            await downstream.send(answer, content, raw)
            return
        # Whatever the call was, its effect is known and recorded by now.
        downstream.upstream = self._connection
        await downstream.begin(answer)
        # No bound between pieces: a query may think for long, and a caller that leaves ends it.
        while pieces := await body.read():
            await downstream.write(pieces)
        await downstream.end()
