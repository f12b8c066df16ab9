"""One mutated message after the other, each checked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

from tests.fuzz.checks import a_request, an_answer, some_bytes
from tests.fuzz.mutations import cut, mutated
from tests.support.hostile import messages as corpus

_ANSWERS: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: x\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 103 Hint\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
]


class FuzzError(Exception):
    """A check failed; the message says on what, and how to see it again."""


def messages(seed: int) -> Iterator[int]:
    """Check messages without end; yield how many there were."""
    requests = [one.data for one in corpus() if not one.long]
    for number in count(1):
        # Each message has a seed of its own, so that one that fails can be had at once.
        random = Random(seed + number - 1)
        check, seeds = random.choice(
            ((a_request, requests), (a_request, requests), (an_answer, _ANSWERS))
        )
        data = mutated(random, seeds)
        try:
            check(random, data)
            some_bytes(random, random.choice(cut(random, data)))
        except Exception as error:
            raise FuzzError(
                f"seed {seed + number - 1}, {check.__name__}: {error!r}\non {data!r}"
            ) from error
        yield number
