"""The deprecated call where what should not happen does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Framing
from shim.http1.requests import RequestHead
from shim.ledger.records import Decision
from shim.proxy.old_calls import OldCalls
from shim.record.outcome import Outcome
from shim.route.caller import Identity
from shim.route.in_force import Live
from shim.route.meaning import OldCall, interpret
from shim.route.notice import NO_NOTICE
from shim.route.policy import Policy
from shim.route.replies import Replies
from tests.support.terms import terms

TARGET = b"/invocations/inv_1?mode=kill"


class Caller:
    """A caller's side of an exchange, and what it has got."""

    def __init__(self) -> None:
        self.head = RequestHead(b"DELETE", TARGET, 1, None, [], Framing.NONE, 0, keep_alive=True)
        self.fault = None
        self.answers: list[tuple[AnswerHead, bytes]] = []

    async def send(self, answer: AnswerHead, content: bytes, _: bytes | None = None) -> None:
        self.answers.append((answer, content))


class Broken:
    """A way to upstream that is wrong in itself."""

    def outgoing(self, *_: object, **__: object) -> None:
        raise IndexError("no such thing")


class Told:
    """What is on record."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.crashes: list[Exception] = []

    async def use(self, *words: Any, elapsed: float) -> None:
        del elapsed
        self.outcomes.append(words[-1])

    def failed(self, error: Exception) -> None:
        self.crashes.append(error)


# The caller got a 500, and nobody ever knew that it had made the old call.
async def test_an_old_call_on_which_the_shim_fails_is_on_record() -> None:
    caller: Any = Caller()
    told: Any = Told()
    broken: Any = Broken()
    call = interpret(b"DELETE", TARGET)
    assert isinstance(call, OldCall)
    policy = Policy(terms(), clock=lambda: datetime.now(UTC), is_known=lambda _: True)
    live = Live(policy, Replies.LEGACY, NO_NOTICE)
    identity = Identity("cron", "user-agent", "192.0.2.1", None, None, None)
    await OldCalls(broken, told, told).serve(caller, call, identity, live)
    ((answer, content),) = caller.answers
    assert answer.status == 500
    assert b"The shim failed; its log says how" in content
    (outcome,) = told.outcomes
    assert (outcome.decision, outcome.status) == (Decision.FAILED, 500)
    assert outcome.error == "The shim failed: IndexError"
    assert [type(error) for error in told.crashes] == [IndexError]
