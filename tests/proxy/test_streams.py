"""Who may send when there is room again, on a connection over HTTP/2."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hyperframe.frame import Frame, SettingsFrame, WindowUpdateFrame

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Framing
from shim.http2.framing import PREFACE
from shim.proxy.downstream import Downstream, Memory
from shim.proxy.patience import Patience
from shim.proxy.serving import Serving
from shim.proxy.streams import Streams
from tests.http2.test_framing import head
from tests.proxy.agreement import Wire

OK = AnswerHead(200, b"OK", [], Framing.CHUNKED)


class Caller:
    """A connection whose other end reads or does not."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.peer = "192.0.2.1"
        self.patience = Patience(5.0, 5.0, 0)
        self.open_transport: asyncio.Transport | None = Wire()
        self.writing_paused = False

    async def linger(self) -> None:
        self.open_transport = None


class Served:
    """Streams, and what their handlers have got through."""

    def __init__(self) -> None:
        self.caller = Caller()
        self.handled: list[bytes] = []
        nobody: Any = None
        lane: Any = SimpleNamespace(max_body=None)
        serving = Serving(
            handle=self._handle,
            lane=lane,
            incidents=nobody,
            admission=nobody,
            most_requests=1000,
            head_timeout=5.0,
            patience=self.caller.patience,
            keepalive_timeout=5.0,
        )
        self.streams = Streams(serving, self.caller)
        self.size = 0

    async def _handle(self, downstream: Downstream) -> None:
        await downstream.begin(OK)
        if self.size:
            await downstream.write([b"x" * self.size])
        await downstream.end()
        self.handled.append(downstream.head.target)

    async def send(self, *data: bytes) -> None:
        self.streams.data_received(b"".join(data))
        await self.settle()

    @staticmethod
    async def settle() -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def served() -> Served:
    served = Served()
    await served.send(PREFACE, SettingsFrame(0).serialize())
    return served


def update(stream: int, size: int) -> bytes:
    frame: Frame = WindowUpdateFrame(stream, size)
    return frame.serialize()


async def test_all_who_wait_go_on_once_the_caller_reads_again(served: Served) -> None:
    # With the connection's window used up, the first was let go on and the rest stayed.
    served.size = 65_535
    await served.send(head(1))
    assert len(served.handled) == 1
    served.size = 0
    served.caller.writing_paused = True
    await served.send(head(3), head(5), head(7))
    assert len(served.handled) == 1
    served.caller.writing_paused = False
    served.streams.resumed()
    await served.settle()
    assert len(served.handled) == 4


async def test_what_one_leaves_of_the_window_is_the_next_one_s(served: Served) -> None:
    # It waited for the next window of the caller's, who had no reason to give any.
    served.size = 65_535
    await served.send(head(1))
    served.size = 100
    await served.send(head(3), head(5), head(7))
    assert len(served.handled) == 1
    await served.send(update(0, 250))
    assert len(served.handled) == 3
    await served.send(update(0, 50))
    assert len(served.handled) == 4


async def test_who_has_no_window_holds_up_nobody_who_needs_none(served: Served) -> None:
    served.size = 65_536
    await served.send(head(1))
    served.size = 0
    served.caller.writing_paused = True
    await served.send(head(3), head(5))
    assert served.handled == []
    served.caller.writing_paused = False
    served.streams.resumed()
    await served.settle()
    assert len(served.handled) == 2
