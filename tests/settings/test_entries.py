"""What the team knows about callers, as it is written in the settings' file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shim.settings.entries import parse_entries


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"phase": "reject"}, "match is missing"),
        ({"match": ""}, "match: got ''"),
        ({"match": "a", "phase": "loud"}, "phase: got 'loud', takes one of observe"),
        # A list has no hash: looking it up in a set of phases raised TypeError.
        ({"match": "a", "phase": ["reject"]}, "phase: got"),
        ({"match": "a", "until": "2027-01-31"}, "until: got '2027-01-31', takes a date"),
        ({"match": "a", "until": datetime(2027, 1, 31, tzinfo=UTC)}, "takes a date"),
        ({"match": "a", "phse": "reject"}, "phse is no key of it"),
        ("x", "got 'x', takes a table"),
    ],
)
def test_a_bad_entry_says_what_it_would_take(table: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"\[\[caller\]\] entry 2") as error:
        parse_entries([{"match": "fine"}, table])
    assert says in str(error.value)
