"""The data plane: one handler, one branch.

A request passes through unless it is the deprecated call; then the policy says whether it is
translated, observed or refused, and the recorder has it before its answer leaves.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import web

from shim.http1.fields import end_to_end, find, tokens
from shim.http1.requests import Refusal
from shim.ledger.records import Decision
from shim.proxy.downstream import (
    BrokenBodyError,
    DownstreamGoneError,
    DownstreamRequest,
    Ready,
    error_answer,
)
from shim.proxy.forwarding import Exchange, Gateway, answer_head, too_large
from shim.record.recorder import Outcome, Recorder
from shim.route import translation
from shim.route.caller import Identity, Network, identify
from shim.route.in_force import Live
from shim.route.policy import Phase, Ruling
from shim.route.translation import NewCall, OldCall, Replies
from shim.upstream.errors import Answer, UpstreamError

_REPEATABLE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_LENGTHS: Final = frozenset((b"content-length", b"expect"))
# What described a body that the caller does not get.
_ABOUT_THE_BODY: Final = frozenset(
    (b"content-length", b"content-type", b"content-encoding", b"vary")
)
_FALLBACK_SECONDS: Final = 60.0
_MAX_ERROR_BODY: Final = 1 << 20


class Proxy:
    """Handles every request on the proxy port."""

    def __init__(
        self,
        gateway: Gateway,
        recorder: Recorder,
        live: Live,
        *,
        caller_sources: tuple[str, ...],
        trusted_proxies: tuple[Network, ...],
        max_body: int | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.live = live
        self.draining = False
        self.in_flight = 0
        self._gateway = gateway
        self._recorder = recorder
        self._caller_sources = caller_sources
        self._trusted_proxies = trusted_proxies
        self._max_body = max_body
        self._loop = loop
        # Until when (loop time) the new endpoints count as missing, by version prefix.
        self._without_new: dict[str | None, float] = {}

    async def handle(self, request: DownstreamRequest) -> web.StreamResponse:
        """Answer one request."""
        head = request.head
        refusal = head.broken
        if self.draining:
            refusal = Refusal(503, "The shim is shutting down")
        elif self._max_body is not None and (head.content_length or 0) > self._max_body:
            refusal = refusal or Refusal(413, too_large(self._max_body))
        started = time.perf_counter()
        meaning = translation.interpret(head.method, head.target)
        if refusal is not None:
            self._count_refused(request, meaning, refusal)
            return error_answer(refusal, linger=True)
        self.in_flight += 1
        try:
            if isinstance(meaning, OldCall):
                return await self._old_call(request, meaning, started)
            return await self._pass_through(request, meaning, started)
        except BrokenBodyError as error:
            if request.connection.answer_begun:
                raise DownstreamGoneError from error
            self._count_refused(request, meaning, error.refusal)
            return error_answer(error.refusal, linger=True)
        except UpstreamError as error:
            self._failed(error)
            if request.connection.answer_begun:
                raise DownstreamGoneError from error
            self._recorder.unanswered(meaning, head.method, error.status)
            return self._error(request, Refusal(error.status, str(error)))
        finally:
            self.in_flight -= 1

    async def _pass_through(
        self, request: DownstreamRequest, meaning: translation.Meaning, started: float
    ) -> web.StreamResponse:
        head = request.head
        try:
            exchange = await self._send_as_it_is(request, repeatable=head.method in _REPEATABLE)
        except UpstreamError as error:
            if isinstance(meaning, translation.NearMiss):
                identity = self._identify(request)
                await self._recorder.near_miss(
                    identity, meaning, head.method, head.target, error.status
                )
            raise
        status = exchange.answer.status
        if isinstance(meaning, translation.NearMiss):
            identity = self._identify(request)
            await self._recorder.near_miss(identity, meaning, head.method, head.target, status)
        elif isinstance(meaning, NewCall):
            self._recorder.replacement_call(self._identify(request), meaning.mode, status)
        elapsed = time.perf_counter() - started
        self._recorder.request(meaning, head.method, status, elapsed, exchange.seconds)
        return await self._gateway.relay(request, exchange, keep_alive=not self.draining)

    async def _send_as_it_is(
        self, request: DownstreamRequest, *, repeatable: bool, see_it_through: bool = False
    ) -> Exchange:
        head = request.head
        return await self._gateway.open(
            request,
            self._gateway.request_head(request, head.method, head.target, with_body=head.has_body),
            head_only=head.method == b"HEAD",
            repeatable=repeatable and not head.has_body,
            with_body=head.has_body,
            see_it_through=see_it_through,
        )

    # The deprecated call

    async def _old_call(
        self, request: DownstreamRequest, call: OldCall, started: float
    ) -> web.StreamResponse:
        live = self.live
        identity = self._identify(request)
        ruling = live.policy.rule(identity.caller, call.invocation_id)
        outcome = Outcome(ruling, translation.near_miss_of(call))

        async def record() -> None:
            if not outcome.recorded:
                outcome.recorded = True
                elapsed = time.perf_counter() - started
                await self._recorder.use(identity, call, request.head.target, outcome, elapsed)

        outcome.record = record
        try:
            response = await self._decide(request, call, live, ruling, outcome)
        except UpstreamError as error:
            self._failed(error)
            if request.connection.answer_begun:
                raise DownstreamGoneError from error
            outcome.decision, outcome.error = Decision.FAILED, str(error)
            outcome.status = error.status
            response = self._error(request, Refusal(error.status, str(error)))
        except BrokenBodyError as error:
            outcome.decision, outcome.error = Decision.INVALID, str(error)
            outcome.status = error.refusal.status
            response = error_answer(error.refusal, linger=True)
        except DownstreamGoneError:
            outcome.decision, outcome.error = Decision.FAILED, "The caller left before it was sent"
            outcome.status = 499
            response = Ready(b"", keep_alive=False)
        await record()
        return response

    async def _decide(
        self,
        request: DownstreamRequest,
        call: OldCall,
        live: Live,
        ruling: Ruling,
        outcome: Outcome,
    ) -> web.StreamResponse:
        if ruling.phase is Phase.OBSERVE:
            outcome.decision = Decision.OBSERVED
            exchange = await self._send_as_it_is(request, repeatable=True, see_it_through=True)
            return await self._as_it_is(request, exchange, outcome)
        if call.problem is not None:
            outcome.decision = Decision.INVALID
            return await self._invalid(request, call, call.problem, outcome)
        extra = live.deprecation_fields(call.new_target)
        if ruling.refusal is not None:
            outcome.decision = Decision.REFUSED
            outcome.status, outcome.announced = 405, bool(extra)
            return self._refused(request, call, ruling, extra)
        return await self._translate(request, call, live.replies, extra, outcome)

    async def _translate(
        self,
        request: DownstreamRequest,
        call: OldCall,
        replies: Replies,
        extra: bytes,
        outcome: Outcome,
    ) -> web.StreamResponse:
        head = request.head
        if head.has_body and find(request.head.fields, b"expect") is None:
            # The old route ignored a body; one that breaks off must not have an effect.
            while await request.read_body():
                pass
        old = (head.method, head.target)
        new = (translation.NEW_METHOD, call.new_target)
        if self._without_new.get(call.api_version, 0.0) > self._loop.time():
            return await self._fall_back(request, call, old, outcome)
        answer, body = await self._send_without_body(request, *new, outcome)
        if not translation.reached_handler(answer.status, body):
            return await self._fall_back(request, call, old, outcome)
        outcome.decision = Decision.TRANSLATED
        reply = translation.map_reply(replies, answer.status)
        outcome.status, outcome.masked = reply.status, reply.masked
        outcome.announced = bool(extra)
        lines = end_to_end(answer.headers, _ABOUT_THE_BODY if not reply.with_body else _LENGTHS)
        if reply.status != answer.status:
            lines.append(b"X-Restate-Shim-Upstream-Status: %d\r\n" % answer.status)
        reason = answer.reason if reply.status == answer.status else b"Accepted"
        content = body if reply.with_body else b""
        return self._answer(request, reply.status, reason, [*lines, extra], content)

    async def _fall_back(
        self, request: DownstreamRequest, call: OldCall, old: tuple[bytes, bytes], outcome: Outcome
    ) -> web.StreamResponse:
        """Make the old call itself: this upstream has no new endpoints, or no such version."""
        answer, body = await self._send_without_body(request, *old, outcome)
        if translation.reached_handler(answer.status, body):
            outcome.decision = Decision.FELL_BACK
            extra = self.live.deprecation_fields(None)
            outcome.announced = bool(extra)
            self._without_new[call.api_version] = self._loop.time() + _FALLBACK_SECONDS
        else:
            extra = b""
            outcome.decision = Decision.FAILED
            outcome.error = "Upstream has neither the new endpoints nor the old route"
            self._without_new.pop(call.api_version, None)
        outcome.status = answer.status
        lines = [*end_to_end(answer.headers, _LENGTHS), extra]
        return self._answer(request, answer.status, answer.reason, lines, body)

    async def _send_without_body(
        self, request: DownstreamRequest, method: bytes, target: bytes, outcome: Outcome
    ) -> tuple[Answer, bytes]:
        """Make a call of ours on behalf of the caller, and return the whole answer."""
        without = _LENGTHS
        coding = find(request.head.fields, b"accept-encoding")
        if coding is not None and tokens((coding,)) != {b"identity"}:
            # Whether a 404 is a handler's is read from its body, which must not be compressed.
            without |= {b"accept-encoding"}
        raw = self._gateway.request_head(request, method, target, with_body=False, without=without)
        exchange = await self._gateway.open(request, raw, repeatable=True, see_it_through=True)
        outcome.upstream_seconds += exchange.seconds
        outcome.upstream_status = exchange.answer.status
        return exchange.answer, await exchange.read_whole(_MAX_ERROR_BODY)

    async def _as_it_is(
        self, request: DownstreamRequest, exchange: Exchange, outcome: Outcome
    ) -> web.StreamResponse:
        outcome.status = outcome.upstream_status = exchange.answer.status
        outcome.upstream_seconds = exchange.seconds
        if not exchange.answer.complete:
            # It leaves piece by piece, the first of them now.
            try:
                await outcome.record()
            except BaseException:
                exchange.end()
                raise
        return await self._gateway.relay(request, exchange, keep_alive=not self.draining)

    async def _invalid(
        self, request: DownstreamRequest, call: OldCall, problem: str, outcome: Outcome
    ) -> web.StreamResponse:
        """Pass on a call that the old route answers with 400, and give that answer without it.

        An upstream that still has the route says it itself.  Where it has gone, the caller must
        not take the router's answer, or anything else, for an effect.
        """
        exchange = await self._send_as_it_is(request, repeatable=True, see_it_through=True)
        status = exchange.answer.status
        unknown_version = status == 404 and call.api_version is not None
        if status in (400, 429) or status >= 500 or unknown_version:
            return await self._as_it_is(request, exchange, outcome)
        outcome.upstream_status, outcome.upstream_seconds = status, exchange.seconds
        await exchange.read_whole(_MAX_ERROR_BODY)
        outcome.status, outcome.error = 400, problem
        lines = [b"content-type: text/plain; charset=utf-8\r\n"]
        return self._answer(request, 400, b"Bad Request", lines, problem.encode())

    def _refused(
        self, request: DownstreamRequest, call: OldCall, ruling: Ruling, extra: bytes
    ) -> web.StreamResponse:
        assert ruling.refusal is not None
        body = translation.error_body(
            "DELETE /invocations/{invocation_id} is deprecated, "
            f"use {call.replacement} instead{ruling.refusal.suffix}"
        )
        # RFC 9110 section 10.2.1: an empty Allow says that configuration has disabled the resource.
        lines = [b"allow: \r\n", b"content-type: application/json\r\n"]
        if ruling.refusal.retry_after is not None:
            lines.append(b"retry-after: %d\r\n" % ruling.refusal.retry_after)
        return self._answer(request, 405, b"Method Not Allowed", [*lines, extra], body)

    def _answer(
        self,
        request: DownstreamRequest,
        status: int,
        reason: bytes,
        lines: list[bytes],
        body: bytes,
    ) -> Ready:
        unread = request.head.has_body and not request.content.at_eof()
        keep_alive = request.head.keep_alive and not self.draining and not unread
        lines.insert(0, b"content-length: %d\r\n" % len(body))
        start = answer_head(request, status, reason, lines, keep_alive=keep_alive)
        return Ready(start + body, keep_alive=keep_alive, linger=unread)

    def _error(self, request: DownstreamRequest, refusal: Refusal) -> Ready:
        unread = request.head.has_body and not request.content.at_eof()
        keep_alive = request.head.keep_alive and not unread and request.head.minor_version == 1
        return error_answer(refusal, linger=unread, keep_alive=keep_alive)

    def _count_refused(
        self, request: DownstreamRequest, meaning: translation.Meaning, refusal: Refusal
    ) -> None:
        # What the framer refuses is counted where it does, whether or not it had a head.
        if refusal is not request.head.broken:
            self._recorder.unanswered(meaning, request.head.method, refusal.status)

    def _failed(self, error: UpstreamError) -> None:
        self._gateway.failed(error)
        self._recorder.upstream_failed(error)

    def _identify(self, request: DownstreamRequest) -> Identity:
        return identify(
            request.head.fields,
            request.connection.peer,
            self._caller_sources,
            self._trusted_proxies,
        )
