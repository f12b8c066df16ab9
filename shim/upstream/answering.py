"""One answer read piece by piece, as it comes on a connection to upstream."""

from __future__ import annotations

import asyncio
from collections import deque

from shim.http1.answers import AnswerFramer, AnswerHead, PlainAnswers
from shim.net.stream import Stream
from shim.upstream.errors import ClosedBeforeAnswerError, UpstreamError


class Answering:
    """The answer to one request: any number of interim heads, the final one, its body.

    ``plain`` reads answers that came whole in one read.  ``head_only`` says that the answer has no
    body whatever its fields say (RFC 9110 section 9.3.2).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        plain: PlainAnswers,
        *,
        head_only: bool,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._plain = plain
        self._head_only = head_only
        self._heads: deque[AnswerHead] = deque()
        self._framer: AnswerFramer | None = None
        self._reader: asyncio.Future[None] | None = None
        self.final: AnswerHead | None = None
        """The final head, once it has come."""
        self.body: Stream
        """The body, once the final head has come."""
        self.raw: bytes | None = None
        """The answer's bytes, if it came in one read and is plain."""
        self.failure: Exception | None = None
        """Why there will be no more of it, where it is not the end."""

    @property
    def ended(self) -> bool:
        """Whether all of it has come."""
        return self.final is not None and self.body.ended

    @property
    def persists(self) -> bool:
        """Whether it ended well, all of it has been read, and another may follow."""
        return (
            self.final is not None
            and self.body.ended
            and self.failure is None
            and self.final.keep_alive
            and not (self._framer is not None and self._framer.unread)
            and self.body.empty
        )

    async def next_head(self) -> AnswerHead:
        """Return the next head, interim or final; raise what the answer failed with.

        An answer that has broken off by now is told of as none: nothing of it has gone on yet.
        """
        while self.failure is not None or not self._heads:
            if self.failure is not None:
                raise self.failure
            self._reader = self._loop.create_future()
            await self._reader
        return self._heads.popleft()

    def receive(self, data: bytes) -> AnswerHead | None:
        """Take bytes in; return the final head if it came with them; raise ``FramingError``."""
        framer = self._framer
        if framer is None:
            whole = None if self._head_only else self._plain.whole(data)
            if whole is not None:
                self.raw = data
                self._begin_body(whole[0])
                self.body.feed((whole[1],))
                self.body.end()
                self._wake()
                return whole[0]
            framer = self._framer = AnswerFramer(head_only=self._head_only)
        framer.feed(data)
        final = self._read_heads(framer) if self.final is None else None
        if framer.in_body:
            self.body.feed(framer.read_body())
        if framer.ended:
            self.body.end()
        return final

    def close(self, *, cleanly: bool) -> None:
        """Take note that the connection has ended, ``cleanly`` or by a reset."""
        if self.ended:
            return
        framer = self._framer
        if framer is None:
            self.fail(ClosedBeforeAnswerError("Upstream closed before it answered"))
        elif framer.in_body and cleanly and framer.close():
            # RFC 9112 section 6.3, rule 8: without a length it ends where the connection does.
            self.body.end()
        else:
            self.fail(UpstreamError("truncated", "Upstream broke off its answer"))

    def fail(self, failure: Exception) -> None:
        """Let who reads find out that there will be no more."""
        if self.failure is None:
            self.failure = failure
        if self.final is not None:
            self.body.fail(self.failure)
        self._wake()

    def _read_heads(self, framer: AnswerFramer) -> AnswerHead | None:
        while self.final is None and (head := framer.next_head()) is not None:
            if head.interim:
                self._heads.append(head)
            else:
                self._begin_body(head)
        self._wake()
        return self.final

    def _begin_body(self, head: AnswerHead) -> None:
        self._heads.append(head)
        self.final = head
        self.body = Stream(self._loop, self._transport)

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
