"""Bytes that are nearly messages: what is known to matter, changed a little, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

# What borders and meanings hang on.
_WORDS: Final = tuple(
    word.encode("latin-1")
    for word in (
        *("\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", "\x0b", "\0", "\x7f", "\x80", "é"),
        *(":", ";", ",", "/", "//", "..", "?", "#", "&", "=", "*", "@", "a", "A"),
        *("0", "5", "+5", "0x5", "-1", "1_0", "18446744073709551621", "%2F", "%00", "%zz"),
        *("mode=kill", "mode=KILL", "mode=&mode=purge", "HTTP/1.0", "HTTP/1.1", "http://b/"),
        *("Host: a\r\n", "Host: b\r\n", "Content-Length: 5\r\n", "content-length:5\r\n"),
        *("Transfer-Encoding: chunked\r\n", "transfer-encoding : chunked\r\n", "Expect: x\r\n"),
        *("Connection: close\r\n", "Connection: host, x\r\n", "Upgrade: h2c\r\n", " folded\r\n"),
        *("5\r\nhello\r\n", "0\r\n\r\n", "0\r\nX: y\r\n\r\n", ";a=b", "X: y\r\n"),
        *("GET ", "DELETE ", "PATCH ", "HEAD ", "/v1/invocations/x", "/invocations/x?mode=kill"),
        *("X-Forwarded-For: 10.0.0.1, unknown\r\n", "X-Client-Id: ci\r\n", "Bearer a.e30.c"),
        *('By="a;b";Hash=c;URI=spiffe://x,', "HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        *("HTTP/1.1 204 N\r\n", "HTTP/1.1 304 N\r\n\r\n"),
    )
)


def mutated(random: Random, seeds: Sequence[bytes], most: int = 2000) -> bytes:
    """One of ``seeds``, changed up to eight times, or several of them."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(0, 8)):
        at = random.randint(0, len(data))
        match random.randrange(7):
            case 0:
                data[at:at] = random.choice(_WORDS)
            case 1:
                del data[at : at + random.randint(1, 20)]
            case 2:
                data[at : at + 1] = bytes((random.randrange(256),))
            case 3:
                word = random.choice(_WORDS)
                data[at : at + len(word)] = word
            case 4:
                data[at:at] = data[at : at + random.randint(1, 60)]
            case 5:
                data += random.choice(seeds)
            case 6:
                other = random.choice(seeds)
                data[at:] = other[random.randint(0, len(other)) :]
    return bytes(data[:most])


def cut(random: Random, data: bytes) -> list[bytes]:
    """``data`` in pieces."""
    if data and random.random() < 0.2:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(random.randint(0, len(data)) for _ in range(random.randint(0, 6)))
    return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
