"""The deprecated call, from top to bottom: rule, then refuse or forward, map, record, reply."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from shim.http1.answers import AnswerHead
from shim.http1.fields import end_to_end, field, find, tokens
from shim.http1.grammar import FramingError
from shim.ledger.records import Decision
from shim.proxy.downstream import Downstream, DownstreamGoneError
from shim.proxy.exchange import Exchange
from shim.proxy.forwarding import Forwarder
from shim.proxy.own_answers import WholeAnswer, answer_to, whole_answer
from shim.record.incidents import Incidents
from shim.record.outcome import Outcome
from shim.record.recorder import Recorder
from shim.route.caller import Identity
from shim.route.in_force import Live
from shim.route.meaning import NEW_METHOD, OldCall
from shim.route.policy import Phase, Refused, Ruling
from shim.route.replies import error_body, map_reply, reached_handler
from shim.upstream.errors import UpstreamError

_LENGTHS: Final = frozenset((b"content-length", b"expect"))
# What described a body that the caller does not get.
_ABOUT_THE_BODY: Final = frozenset(
    (b"content-length", b"content-type", b"content-encoding", b"vary")
)
_FALLBACK_SECONDS: Final = 60.0
_MAX_ERROR_BODY: Final = 1 << 20


class Served(NamedTuple):
    """What is recorded of a call, and what its caller gets: a whole answer, or upstream's own."""

    outcome: Outcome
    answer: WholeAnswer | Exchange | None


class OldCalls:
    """Serves calls to the deprecated route."""

    def __init__(self, forwarder: Forwarder, recorder: Recorder, incidents: Incidents) -> None:
        self._forwarder = forwarder
        self._recorder = recorder
        self._incidents = incidents
        # Until when (``time.monotonic``) the new endpoints count as missing, by version prefix.
        self._without_new: dict[str | None, float] = {}

    async def serve(
        self, downstream: Downstream, call: OldCall, identity: Identity, live: Live
    ) -> None:
        """Rule, do what that says, record, reply: the record is there before the answer leaves."""
        started = time.monotonic()
        ruling = live.policy.rule(identity.caller, call.invocation_id)
        served = await self._refuse_or_forward(downstream, call, live, ruling)
        try:
            elapsed = time.monotonic() - started
            target = downstream.head.target
            await self._recorder.use(
                identity, call, target, ruling, served.outcome, elapsed=elapsed
            )
            match served.answer:
                case Exchange() as exchange:
                    await exchange.send_down()
                case (head, content):
                    await downstream.send(head, content)
                case None:
                    raise DownstreamGoneError
        finally:
            if isinstance(served.answer, Exchange):
                served.answer.close()

    async def _refuse_or_forward(
        self, downstream: Downstream, call: OldCall, live: Live, ruling: Ruling
    ) -> Served:
        """Refuse the call, or forward it and map the answer; what goes wrong is an outcome too."""
        try:
            if downstream.fault is not None:
                return _invalid(downstream.fault)
            if ruling.phase is Phase.OBSERVE:
                return await self._observe(downstream)
            if call.problem is not None:
                return await self._answer_problem(downstream, call, call.problem)
            if ruling.refusal is not None:
                return _refuse(call, live, ruling.refusal)
            return await self._translate(downstream, call, live)
        except FramingError as error:
            return _invalid(error)
        except DownstreamGoneError as error:
            return _unanswered(str(error) or "The caller left before it was sent")
        except asyncio.CancelledError:
            # Its record is the last that becomes of this request.
            return _unanswered("The shim was stopped before upstream answered")
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the use is on record
            self._incidents.failed(error)
            ours = not isinstance(error, UpstreamError)
            message = f"The shim failed: {type(error).__name__}" if ours else str(error)
            answer = answer_to(error)
            return Served(Outcome(Decision.FAILED, answer[0].status, error=message), answer)

    async def _observe(self, downstream: Downstream) -> Served:
        """Pass the call on unchanged."""
        exchange = await self._forwarder.pass_on(downstream, repeatable=True, seen_through=True)
        return Served(_told(Decision.OBSERVED, exchange), exchange)

    async def _answer_problem(self, downstream: Downstream, call: OldCall, problem: str) -> Served:
        """Pass on a call that the old route answers with 400, and give that answer without it.

        An upstream that still has the route says it itself.  Where it has gone, the caller must
        not take the router's answer, or anything else, for an effect.
        """
        exchange = await self._forwarder.pass_on(downstream, repeatable=True, seen_through=True)
        status = exchange.answer.status
        unknown_version = status == 404 and call.api_version is not None
        if status in (400, 429) or status >= 500 or unknown_version:
            return Served(_told(Decision.INVALID, exchange), exchange)
        await exchange.read_whole(_MAX_ERROR_BODY)
        outcome = Outcome(Decision.INVALID, 400, status, exchange.seconds, error=problem)
        kind = field(b"content-type", b"text/plain; charset=utf-8")
        return Served(outcome, whole_answer(400, b"Bad Request", [kind], problem.encode()))

    async def _translate(self, downstream: Downstream, call: OldCall, live: Live) -> Served:
        """Make the new call, and map its answer to what the old route says."""
        if downstream.head.has_body and find(downstream.head.fields, b"expect") is None:
            # The old route ignored a body; one that breaks off must not have an effect.
            while await downstream.read_body():
                pass
        if self._without_new.get(call.api_version, 0.0) > time.monotonic():
            return await self._fall_back(downstream, call, live, 0.0)
        new = await self._ask(downstream, NEW_METHOD, call.new_target)
        if not reached_handler(new.answer.status, new.body):
            return await self._fall_back(downstream, call, live, new.seconds)
        status = new.answer.status
        mapped = map_reply(live.replies, status)
        notice = live.notice.fields(call.new_target)
        fields = end_to_end(new.answer.fields, _LENGTHS if mapped.with_body else _ABOUT_THE_BODY)
        reason = new.answer.reason
        if mapped.status != status:
            fields.append(field(b"X-Restate-Shim-Upstream-Status", b"%d" % status))
            reason = b"Accepted"
        outcome = Outcome(
            Decision.TRANSLATED,
            mapped.status,
            status,
            new.seconds,
            masked=mapped.masked,
            announced=bool(notice),
        )
        body = new.body if mapped.with_body else b""
        return Served(outcome, whole_answer(mapped.status, reason, [*fields, *notice], body))

    async def _fall_back(
        self, downstream: Downstream, call: OldCall, live: Live, seconds: float
    ) -> Served:
        """Make the old call itself: this upstream has no new endpoints, or no such version."""
        head = downstream.head
        old = await self._ask(downstream, head.method, head.target)
        status = old.answer.status
        if reached_handler(status, old.body):
            decision, error = Decision.FELL_BACK, None
            notice = live.notice.fields(None)
            self._without_new[call.api_version] = time.monotonic() + _FALLBACK_SECONDS
        else:
            decision = Decision.FAILED
            error = "Upstream has neither the new endpoints nor the old route"
            notice = []
            self._without_new.pop(call.api_version, None)
        outcome = Outcome(
            decision,
            status,
            status,
            seconds + old.seconds,
            announced=bool(notice),
            error=error,
        )
        fields = [*end_to_end(old.answer.fields, _LENGTHS), *notice]
        return Served(outcome, whole_answer(status, old.answer.reason, fields, old.body))

    async def _ask(self, downstream: Downstream, method: bytes, target: bytes) -> _Asked:
        """Make a call of ours on behalf of the caller, and return the whole answer."""
        without = _LENGTHS
        coding = find(downstream.head.fields, b"accept-encoding")
        if coding is not None and tokens((coding,)) != {b"identity"}:
            # Whether a 404 is a handler's is read from its body, which must not be compressed.
            without |= {b"accept-encoding"}
        request = self._forwarder.outgoing(
            downstream,
            method,
            target,
            with_body=False,
            repeatable=True,
            seen_through=True,
            without=without,
        )
        exchange = await self._forwarder.send(downstream, request)
        return _Asked(exchange.answer, await exchange.read_whole(_MAX_ERROR_BODY), exchange.seconds)


class _Asked(NamedTuple):
    """A whole answer to a call of ours, and how long it took to begin, in seconds."""

    answer: AnswerHead
    body: bytes
    seconds: float


def _told(decision: Decision, exchange: Exchange) -> Outcome:
    """Return the outcome of a call whose caller gets upstream's own answer."""
    status = exchange.answer.status
    return Outcome(decision, status, status, exchange.seconds)


def _invalid(error: FramingError) -> Served:
    outcome = Outcome(Decision.INVALID, error.status, error=str(error))
    return Served(outcome, answer_to(error))


def _unanswered(message: str) -> Served:
    return Served(Outcome(Decision.FAILED, DownstreamGoneError.status, error=message), None)


def _refuse(call: OldCall, live: Live, refused: Refused) -> Served:
    notice = live.notice.fields(call.new_target)
    body = error_body(
        "DELETE /invocations/{invocation_id} is deprecated, "
        f"use {call.replacement} instead{refused.suffix}"
    )
    # RFC 9110 section 10.2.1: an empty Allow says that configuration has disabled the resource.
    fields = [field(b"allow", b""), field(b"content-type", b"application/json")]
    if refused.retry_after is not None:
        fields.append(field(b"retry-after", b"%d" % refused.retry_after))
    outcome = Outcome(Decision.REFUSED, 405, announced=bool(notice))
    return Served(outcome, whole_answer(405, b"Method Not Allowed", [*fields, *notice], body))
