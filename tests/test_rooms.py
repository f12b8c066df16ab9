"""The map in the package's docstring, held against the folders and the layers."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

import shim
from tests.support.paths import ROOT


def rooms() -> list[str]:
    """The names in the map, from the bottom up, each with what it says of itself."""
    text = (shim.__doc__ or "").split("The rooms, ")[1].split("Words used throughout:")[0]
    names: list[str] = []
    for heading, lines in re.findall(r"^(\w[\w, ]*)\n((?:    \S.*\n)+)", text, re.MULTILINE):
        assert lines.strip().endswith("."), f"{heading} has no line"
        names += heading.split(", ")
    return names


def floors() -> list[set[str]]:
    """The layers that import-linter holds, from the top down."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    assert contract["type"] == "layers"
    return [
        {name.removeprefix("shim.") for name in layer.split(" | ")} for layer in contract["layers"]
    ]


def there() -> set[str]:
    """The packages and modules directly under shim."""
    folder = ROOT / "shim"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def test_the_map_names_every_room_once_and_no_other() -> None:
    assert sorted(rooms()) == sorted(there())


def test_every_room_is_on_a_floor() -> None:
    named = [name for floor in floors() for name in floor]
    assert sorted(named) == sorted(there())


def test_the_map_goes_up_as_the_floors_do() -> None:
    level = {name: -number for number, floor in enumerate(floors()) for name in floor}
    for below, above in pairwise(rooms()):
        assert level[below] <= level[above], f"{above} comes after {below}"


def test_the_rooms_with_tests_of_their_own_are_rooms() -> None:
    beside = {"bench", "deploy", "fuzz", "real", "soak", "support", "wire"}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert folders - beside <= there()
