"""The corpus of hostile messages, which is in `tests/wire/hostile.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, NamedTuple

_FILE: Final = Path(__file__).parents[1] / "wire" / "hostile.toml"
PEERS: Final = ("nginx", "haproxy", "envoy")
# What would be long to write down.
_LONG: Final = {
    "@EMPTY@": "\r\n" * 1000,
    "@HUNDRED@": "GET / HTTP/1.1\r\nHost: a\r\n" + "X: a\r\n" * 90 + "\r\n",
    "@LARGE@": "GET / HTTP/1.1\r\nHost: a\r\nX: " + "a" * 100_000 + "\r\n\r\n",
}


class Message(NamedTuple):
    """One of them; `beside` says of peers that refuse it why the shim does not."""

    name: str
    section: str
    data: bytes
    upstream: int
    why: str
    beside: dict[str, str]
    long: bool
    """Whether most of it is the same again and again."""


def _read(one: dict[str, object]) -> Message:
    text = str(one["bytes"])
    data = text
    for short, long in _LONG.items():
        data = data.replace(short, long)
    upstream = one["upstream"]
    assert isinstance(upstream, int)
    return Message(
        str(one["name"]),
        str(one["section"]),
        data.encode("latin-1"),
        upstream,
        str(one["why"]),
        {peer: str(one[peer]) for peer in PEERS if peer in one},
        data != text,
    )


def messages() -> list[Message]:
    with _FILE.open("rb") as file:
        return [_read(one) for one in tomllib.load(file)["message"]]
