"""Header sections packed and unpacked (RFC 7541), within bounds: hpack does it."""

from __future__ import annotations

import re
from typing import Final

import hpack

from shim.http1.section import MAX_SECTION
from shim.http2.requests import Pair

_MOST_DECODED: Final = 4 * MAX_SECTION
# Of our compressor: what a caller asks for beyond is its own memory, and ours.
_MOST_TABLE: Final = 4096
# RFC 7541 section 4.2 allows two; each is a byte to its sender, and far more to us.
_THREE_RESIZES: Final = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*+[\x00-\x7f]){3}")


class Decoder(hpack.Decoder):
    """Keeps the fields to itself.

    h2 looks for a length that does not fit, and ends the connection for it; RFC 9113 section 8.1.1
    has the stream end.
    """

    def __init__(self) -> None:
        super().__init__(_MOST_DECODED)
        self.pairs: list[Pair] = []
        """The last section's."""

    def decode(self, data: bytes, raw: bool = False) -> list[hpack.HeaderTuple]:  # noqa: FBT001, FBT002 - hpack's
        """Unpack a section into :attr:`pairs`, and return nothing of it."""
        del raw
        if _THREE_RESIZES.match(data):
            raise hpack.HPACKDecodingError("A header section resizes the table more than twice")
        self.pairs = [(bytes(one[0]), bytes(one[1])) for one in super().decode(data, raw=True)]
        return []


class Encoder(hpack.Encoder):
    """Has a table of bounded size, however large a one the caller would keep."""

    @property
    def header_table_size(self) -> int:
        """The most bytes of the table."""
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        size = min(value, _MOST_TABLE)
        if size != self.header_table.maxsize:
            self.header_table.maxsize = size
            self.table_size_changes.append(size)
