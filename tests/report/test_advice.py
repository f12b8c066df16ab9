"""What a caller is told to do, by what it calls itself."""

from __future__ import annotations

import pytest

from shim.report.advice import hint_for


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        ("restate-cli/1.4.0 linux-x86_64", "restate-cli 1.4.0: upgrade to 1.5 or later"),
        ("restate-cli/1.0.2", "upgrade to 1.5"),
        ("restate-cli/1.5.2", "makes the new calls by itself"),
        ("restate-cli/1.10.0", "makes the new calls by itself"),
        ("restate-cli/2.0.0", "makes the new calls by itself"),
        ("Java-http-client/17.0.9", "killInvocation"),
        ("okhttp/4.12.0", "sdk-java"),
        ("curl/8.5.0", "-X PATCH"),
        ("python-requests/2.31.0", "requests.patch"),
        ("python-httpx/0.27.0", "httpx.patch"),
        ("Python/3.11 aiohttp/3.9.1", "session.patch"),
        ("Python-urllib/3.11", "PATCH"),
        ("reqwest/0.12.4", "client.patch"),
        ("Go-http-client/1.1", "http.MethodPatch"),
        ("node", "fetch(`${admin}/invocations/${id}/kill`"),
        ("undici", "fetch("),
        ("axios/1.7.2", "axios.patch(`${admin}/invocations/${id}/kill`)"),
        ("Mozilla/5.0 (X11)", "browser"),
        ("our-own-thing/3", None),
        ("nodejitsu", None),
        ("", None),
        (None, None),
    ],
)
def test_known_clients_get_a_hint(user_agent: str | None, said: str | None) -> None:
    hint = hint_for(user_agent, {"cancel": 1, "kill": 2, "invalid": 9}, 0)
    assert (said in hint) if said and hint else hint is said


def test_a_masked_client_is_told_about_the_errors_to_come() -> None:
    assert "404 and 409" in str(hint_for("curl/8.5.0", {"kill": 1}, 1))
    assert "404 and 409" not in str(hint_for("curl/8.5.0", {"kill": 1}, 0))
