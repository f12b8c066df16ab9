"""Old-style callers, as they are met in the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who makes the old call: what it is, its User-Agent, and how it spells the target."""

    name: str
    user_agent: str
    template: str

    def target(self, invocation_id: str) -> str:
        """Return the request target for one invocation."""
        return self.template.format(id=invocation_id)


CURL: Final = Caller("curl from a runbook", "curl/7.88.1", "/invocations/{id}")
CLI_KILL: Final = Caller(
    "restate CLI 1.4 --kill", "restate-cli/1.4.0 linux-x86_64", "/v2/invocations/{id}?mode=kill"
)
CLI_CANCEL: Final = Caller(
    "restate CLI 1.1 cancel", "restate-cli/1.1.2 linux-x86_64", "/invocations/{id}?mode=cancel"
)
JAVA: Final = Caller(
    "sdk-java admin client", "Java-http-client/21.0.2", "/invocations/{id}?mode=Kill"
)
PYTHON: Final = Caller(
    "nightly clean-up", "python-requests/2.32.3", "/v3/invocations/{id}?mode=purge"
)
GO: Final = Caller("a Go operator", "Go-http-client/1.1", "/invocations/{id}?mode=Cancel")
TYPO: Final = Caller("a script with a typo", "curl/8.5.0", "/invocations/{id}?mode=KILL")
