"""What real servers answered on the old route and the new endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.paths import CONTRACT

OBSERVED: Final = sorted(CONTRACT.glob("observed-*.json"))


def observed(part: str) -> Iterator[Any]:
    for path in OBSERVED:
        document = json.loads(path.read_text())
        for case in document[part]:
            name = "-".join(
                str(case[key]) for key in ("state", "mode", "query", "prefix") if key in case
            )
            yield pytest.param(case, id=f"{document['server']}-{name}")
