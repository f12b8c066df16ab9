"""Nobody reads stdout: lines are lost and counted, requests are not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.support.client import Client, ask, request, timed
from tests.support.origin import Origin, answer
from tests.support.running import Shim

USES = 5_000
CALLERS = 5


def test_a_reader_that_stops_costs_lines_and_no_requests(
    own_origin: Origin, start: Callable[..., Shim]
) -> None:
    """Five thousand uses into a full pipe: each is answered promptly."""
    own_origin.script = lambda connection, received: connection.send(answer(200))
    shim = start(upstream=own_origin.url, read_stdout=False)
    slowest: list[float] = []
    answered: list[int] = []

    def call(caller: int) -> None:
        longest = 0.0
        with Client(shim.proxy) as client:
            for number in range(USES // CALLERS):
                begun = time.monotonic()
                got = client.ask(request("DELETE", f"/invocations/inv_{caller}_{number}?mode=kill"))
                longest = max(longest, time.monotonic() - begun)
                answered.append(got.status)
        slowest.append(longest)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(60)
    assert answered == [202] * USES
    assert max(slowest) < 1
    assert ask(shim.proxy, request("GET", "/health")).status == 200

    shim.resume_stdout()
    lost = shim.event("log_lines_dropped", within=10)["lines"]
    written = sum(1 for event in list(shim.events) if event["event"] == "deprecated_route_used")
    assert lost > 0
    assert written + lost == USES


def test_lines_are_whole_after_a_stall(own_origin: Origin, start: Callable[..., Shim]) -> None:
    """Losing lines never cuts one in half, and later ones are written again."""
    shim = start(upstream=own_origin.url, read_stdout=False)
    with Client(shim.proxy) as client:
        for number in range(3000):
            client.ask(
                request("DELETE", f"/invocations/inv_{number}", b"User-Agent: " + b"u" * 200)
            )
        shim.resume_stdout()
        shim.event("log_lines_dropped", within=10)
        client.ask(request("DELETE", "/invocations/inv_last"))
    shim.use("inv_last", within=5)
    assert len(shim.events) == len([line for line in shim.lines if line])


def test_a_closed_stdout_costs_no_requests(own_origin: Origin, start: Callable[..., Shim]) -> None:
    """The log shipper died: the shim did not."""
    shim = start(upstream=own_origin.url, read_stdout=False)
    assert shim.process.stdout is not None
    shim.process.stdout.close()
    with Client(shim.proxy) as client, timed(5):
        for number in range(200):
            assert client.ask(request("DELETE", f"/invocations/inv_{number}")).status == 202
    assert shim.process.poll() is None
