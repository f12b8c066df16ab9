"""Values of settings as text."""

from __future__ import annotations

import pytest

from shim.settings.parsers import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("10", 10), ("512KiB", 524288), ("10MB", 10_000_000), ("1k", 1000), ("1GiB", 1 << 30)],
)
def test_sizes_are_decimal_or_binary_as_they_say(text: str, size: int) -> None:
    assert parse_size(text) == size
