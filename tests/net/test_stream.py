"""A body between two connections: what is fed is read, and the end is where it is said to be."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.net.stream import Stream
from tests.proxy.agreement import Wire

PIECES = st.lists(st.integers(0, 400_000).map(lambda size: b"x" * size), max_size=12)


async def read(stream: Stream) -> bytes:
    whole = b""
    while pieces := await stream.read():
        assert all(pieces)
        whole += b"".join(pieces)
    return whole


@given(PIECES)
def test_what_is_fed_is_read_whole_however_it_was_cut(pieces: list[bytes]) -> None:
    # An empty piece before a large one was read as the end: the head had come by itself.
    async def feed() -> bytes:
        stream = Stream(asyncio.get_running_loop(), Wire())
        for piece in pieces:
            stream.feed((piece,))
        stream.end()
        return await read(stream)

    assert asyncio.run(feed()) == b"".join(pieces)


async def test_much_pauses_the_transport_and_little_lets_it_go_on() -> None:
    wire = Wire()
    stream = Stream(asyncio.get_running_loop(), wire)
    stream.feed([b"x" * 200_000, b"x" * 200_000])
    assert not wire.is_reading()
    # Somebody else may let it go on: the next piece pauses it again.
    wire.resume_reading()
    stream.feed([b"x"])
    assert not wire.is_reading()
    await stream.read()
    assert wire.is_reading()


@pytest.mark.parametrize("transport", [Wire(), None])
async def test_a_great_many_tiny_pieces_take_little_room(transport: Wire | None) -> None:
    # A piece of one byte takes sixty bytes of memory.
    stream = Stream(asyncio.get_running_loop(), transport)
    pieces = [bytes((n % 256,)) * 2 for n in range(60_000)]
    tracemalloc.start()
    try:
        for piece in pieces:
            # As it comes: no piece is another's.
            stream.feed((bytes(bytearray(piece)),))
        assert tracemalloc.get_traced_memory()[0] < 600_000
    finally:
        tracemalloc.stop()
    assert b"".join(await stream.read()) == b"".join(pieces)


async def test_a_failure_is_told_behind_what_has_come() -> None:
    stream = Stream(asyncio.get_running_loop(), Wire())
    stream.feed((b"half",))
    stream.fail(ConnectionError("gone"))
    assert await stream.read() == [b"half"]
    with pytest.raises(ConnectionError):
        await stream.read()
