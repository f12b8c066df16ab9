"""What a known client has to change, told by its ``User-Agent``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_Hint = Callable[[re.Match[str], str], str]


def hint_for(user_agent: str | None, modes: Mapping[str, int], times_masked: int) -> str | None:
    """Return what to tell the owner of a client, or ``None`` where it is not a known one.

    The mode in examples is the one the caller uses most.
    """
    usable = {mode: count for mode, count in modes.items() if mode in ("cancel", "kill", "purge")}
    mode = max(usable, key=lambda mode: usable[mode], default="cancel")
    hint = _known(user_agent, mode)
    if hint and times_masked and not hint.startswith("restate-cli"):
        hint += "; be ready for 404 and 409, which the old call hid behind 202"
    return hint


def _known(user_agent: str | None, mode: str) -> str | None:
    if not user_agent:
        return None
    for pattern, hint in _CLIENTS:
        if found := pattern.search(user_agent[:300]):
            return hint(found, mode)
    return None


def _cli(found: re.Match[str], _: str) -> str:
    name, major, minor = found[0][:40], int(found[1]), int(found[2])
    if (major, minor) < (1, 5):
        return f"{name.replace('/', ' ')}: upgrade to 1.5 or later, it makes the new calls"
    return (
        f"{name.replace('/', ' ')} makes the new calls by itself: look for what calls in its name"
    )


def _say(text: str) -> _Hint:
    return lambda _, mode: text.format(mode=mode, Mode=mode.capitalize())


def _client(pattern: str, hint: _Hint | str) -> tuple[re.Pattern[str], _Hint]:
    return re.compile(pattern), _say(hint) if isinstance(hint, str) else hint


_JAVA: Final = (
    "Java (sdk-java's admin client): use an admin client generated from Restate 1.4 or later and "
    "call {mode}Invocation(id) in place of deleteInvocation(id, mode)"
)
_FETCH: Final = 'fetch(`${{admin}}/invocations/${{id}}/{mode}`, {{method: "PATCH"}})'

# The first that matches counts: libraries name what they are built on after themselves.
_CLIENTS: Final = (
    _client(r"restate-cli/(\d{1,6})\.(\d{1,6})[\w.+-]*", _cli),
    _client(r"(?i)restate-sdk-java|^Java-http-client/|^Java/|okhttp|Apache-HttpClient|ktor", _JAVA),
    _client(r"^curl/", "curl: -X PATCH in place of -X DELETE, the mode as the path's last segment"),
    _client(r"^[Ww]get/", "wget: --method=PATCH, the mode as the path's last segment"),
    _client(
        r"^python-requests/",
        'python-requests: requests.patch(f"{{admin}}/invocations/{{id}}/{mode}")'
        " in place of requests.delete",
    ),
    _client(
        r"^python-httpx/",
        'python-httpx: httpx.patch(f"{{admin}}/invocations/{{id}}/{mode}")'
        " in place of httpx.delete",
    ),
    _client(
        r"aiohttp/",
        'aiohttp: session.patch(f"{{admin}}/invocations/{{id}}/{mode}") in place of session.delete',
    ),
    _client(
        r"(?i)^python-urllib|^urllib3",
        'Python: method="PATCH" and the path /invocations/ID/{mode} in place of DELETE',
    ),
    _client(
        r"reqwest",
        'reqwest: client.patch(format!("{{admin}}/invocations/{{id}}/{mode}"))'
        " in place of client.delete",
    ),
    _client(
        r"^Go-http-client/",
        'Go: http.NewRequest(http.MethodPatch, admin+"/invocations/"+id+"/{mode}", nil)'
        " in place of MethodDelete",
    ),
    _client(
        r"^axios/",
        "axios: axios.patch(`${{admin}}/invocations/${{id}}/{mode}`) in place of axios.delete",
    ),
    _client(r"^got\b", "got: got.patch(`${{admin}}/invocations/${{id}}/{mode}`)"),
    _client(r"^node-fetch", f"node-fetch: {_FETCH}"),
    _client(r"^(node|undici)\b", f"Node.js: {_FETCH}"),
    _client(r"^(Deno|Bun)/", f"fetch: {_FETCH}"),
    _client(r"^Mozilla/", "a browser: reload the page that calls; Restate's own UI has migrated"),
    _client(r"^(PostmanRuntime|insomnia|HTTPie)/", "a person by hand: send the replacement call"),
)
