"""Places in source code that make the old call, as ``restate-shim scan`` found them.

Each is put beside the callers that it may be: those whose client is of its language, and that use
its mode.  One that looks like nobody's is a call that has not been made yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from shim.report.advice import TOOLKITS, products_of

_LANGUAGES: Final = {
    product: toolkit.languages for toolkit in TOOLKITS for product in toolkit.products
}
_PROGRAMS: Final = frozenset().union(*_LANGUAGES.values())
# What calls by a command stands in files of any other language.
_BY_COMMAND: Final = ("curl", "wget", "httpie", "xh", "restate-cli")
_MOST_BYTES: Final = 64 << 20


class PlacesError(ValueError):
    """A file of findings that cannot be used; the message says why, and what it takes."""


class Place(Struct, frozen=True):
    """One finding: where the call is sent, and ``mode`` where that can be told."""

    path: str
    line: Annotated[int, Meta(ge=0)]
    language: str
    mode: str | None
    code: str
    replacement: str

    @property
    def where(self) -> str:
        """``path:line``."""
        return f"{self.path}:{self.line}"


class _Findings(Struct):
    findings: list[Place]


def read_places(path: Path | None) -> tuple[Place, ...]:
    """Read what ``restate-shim scan --format json`` has written; raise :class:`PlacesError`."""
    if path is None:
        return ()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PlacesError(f"{path} is larger than any list of findings")
        return tuple(msgspec.json.decode(path.read_bytes(), type=_Findings).findings)
    except OSError as error:
        raise PlacesError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        takes = "takes what restate-shim scan --format json prints"
        raise PlacesError(f"{path}: {takes} ({error})") from None


def places_of(
    places: Iterable[Place], user_agents: Iterable[str | None], modes: Iterable[str]
) -> tuple[Place, ...]:
    """Return the places that look like a caller with these ``user_agents`` and ``modes``."""
    products = {product for agent in user_agents for product in products_of(agent or "")}
    asked = set(modes)
    return tuple(
        place
        for place in places
        if (place.mode is None or place.mode in asked) and _is_written_for(place, products)
    )


def nobody_s(places: Sequence[Place], found: Iterable[Sequence[Place]]) -> tuple[Place, ...]:
    """Return the places that look like none of the callers they were ``found`` for."""
    seen = {place for some in found for place in some}
    return tuple(place for place in places if place not in seen)


def _is_written_for(place: Place, products: Iterable[str]) -> bool:
    for product in products:
        if place.language in _LANGUAGES.get(product, ()):
            return True
        if product in _BY_COMMAND and place.language not in _PROGRAMS:
            return product.removesuffix("-cli") in place.code.lower() or product == "curl"
    return False
