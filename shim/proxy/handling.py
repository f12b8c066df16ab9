"""Every request on the proxy port that the relay lane does not take: one handler, one branch.

A request passes through unless it is the deprecated call (:mod:`shim.proxy.old_calls`).
"""

from __future__ import annotations

from time import monotonic
from typing import Final, TypeGuard

from shim.http1.fields import find
from shim.http1.grammar import FramingError, LimitError
from shim.proxy.downstream import Downstream, DownstreamGoneError
from shim.proxy.forwarding import Forwarder
from shim.proxy.old_calls import OldCalls
from shim.proxy.own_answers import answer_to
from shim.record.incidents import Incidents
from shim.record.recorder import Recorder
from shim.route.caller import Identity, Network, identify
from shim.route.in_force import Live
from shim.route.meaning import Meaning, Miss, NewCall, OldCall, interpret
from shim.route.replies import reached_new_endpoint
from shim.upstream.errors import UpstreamError

_REPEATABLE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))


class Proxy:
    """Handles requests; ``live`` is replaced as a whole and read once per request."""

    def __init__(
        self,
        forwarder: Forwarder,
        old_calls: OldCalls,
        recorder: Recorder,
        incidents: Incidents,
        live: Live,
        *,
        caller_sources: tuple[str, ...],
        trusted_proxies: tuple[Network, ...],
    ) -> None:
        self.live = live
        self.in_flight = 0
        self._forwarder = forwarder
        self._old_calls = old_calls
        self._recorder = recorder
        self._incidents = incidents
        self._caller_sources = caller_sources
        self._trusted_proxies = trusted_proxies

    async def handle(self, downstream: Downstream) -> None:
        """Answer one request; raise ``DownstreamGoneError`` where its answer cannot be ended."""
        head = downstream.head
        if head.fault is not None and not head.method:
            self._incidents.unreadable(head.fault, downstream.peer)
            await downstream.send(*answer_to(head.fault))
            return
        meaning = interpret(head.method, head.target)
        self.in_flight += 1
        readable = True
        try:
            await self._serve(downstream, meaning)
        except DownstreamGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the caller is answered
            readable = downstream.begun or not _is_malformed(error)
            await self._fail(downstream, meaning, error)
        finally:
            self.in_flight -= 1
            if readable:
                agent = find(head.fields, b"user-agent") or b""
                self._recorder.carried(b"%b %b %b" % (head.method, head.target, agent))

    async def _serve(self, downstream: Downstream, meaning: Meaning) -> None:
        if isinstance(meaning, OldCall):
            identity = self._identify(downstream)
            await self._old_calls.serve(downstream, meaning, identity, self.live)
        elif downstream.fault is not None:
            raise downstream.fault
        else:
            await self._pass_through(downstream, meaning)

    async def _fail(self, downstream: Downstream, meaning: Meaning, error: Exception) -> None:
        """Tell what went wrong, and answer in upstream's place, unless an answer has begun."""
        if isinstance(error, FramingError):
            self._incidents.refused(error, downstream.peer)
        else:
            self._incidents.failed(error)
        if downstream.begun:
            raise DownstreamGoneError from error
        answer = answer_to(error)
        if _is_malformed(error):
            self._recorder.malformed(error.status)
        else:
            self._recorder.unanswered(meaning, downstream.head.method, answer[0].status)
        await downstream.send(*answer)

    async def _pass_through(self, downstream: Downstream, meaning: Meaning) -> None:
        relayed, head = downstream.relayed, downstream.head
        started = monotonic() if relayed is None else relayed.asked
        try:
            # What is to be on record does not end with a caller that is not patient.
            exchange = await self._forwarder.pass_on(
                downstream,
                repeatable=head.method in _REPEATABLE,
                seen_through=meaning is not None,
            )
        except (UpstreamError, DownstreamGoneError) as error:
            if isinstance(meaning, Miss):
                await self._near_miss(downstream, meaning, error.status)
            raise
        try:
            status = exchange.answer.status
            if isinstance(meaning, Miss):
                await self._near_miss(downstream, meaning, status)
            elif isinstance(meaning, NewCall):
                kind = find(exchange.answer.fields, b"content-type")
                self._recorder.replacement_call(
                    self._identify(downstream),
                    meaning.mode,
                    status,
                    reached=reached_new_endpoint(status, kind),
                )
            elapsed = monotonic() - started
            self._recorder.request(meaning, head.method, status, elapsed, exchange.seconds)
            await exchange.send_down()
        finally:
            exchange.close()

    async def _near_miss(self, downstream: Downstream, miss: Miss, status: int) -> None:
        head = downstream.head
        identity = self._identify(downstream)
        await self._recorder.near_miss(identity, miss, head.method, head.target, status)

    def _identify(self, downstream: Downstream) -> Identity:
        memory = downstream.memory.of(downstream.head.fields)
        if memory.identity is None:
            memory.identity = identify(
                memory.fields, downstream.peer, self._caller_sources, self._trusted_proxies
            )
        return memory.identity


def _is_malformed(error: Exception) -> TypeGuard[FramingError]:
    """Tell whether the borders of a request are not certain; one over a limit is well-formed."""
    return isinstance(error, FramingError) and not isinstance(error, LimitError)
