"""Files that hold several calls, and what is said of what they hold that was not read."""

from __future__ import annotations

import json

import pytest

from shim.scan.documents import Contents, find_in_file
from shim.scan.excerpts import Excerpt, joined

URL = "http://localhost:9070/invocations"


def contents_of(name: str, text: str) -> Contents:
    return find_in_file(name, name, text, text.encode())


def cell(source: object, kind: str = "code") -> dict[str, object]:
    return {"cell_type": kind, "source": source}


NOTEBOOK = {
    "cells": [
        cell(["i = 1\n", f"requests.delete('{URL}/a?mode=kill')"]),
        cell(f"requests.delete('{URL}/b?mode=purge')"),
        cell([f"!curl -X DELETE {URL}/c\n", f"requests.delete('{URL}/d?mode=kill')\n"]),
        cell(f"```sh\ncurl -X DELETE {URL}/e?mode=purge\n```", "markdown"),
        cell(["%%bash\n", f'curl -X DELETE "{URL}/f?mode=kill"']),
    ]
}


# What it did: of two calls on one line it told one, or of those at one column of their cells.
@pytest.mark.parametrize("indent", [None, 1])
def test_each_call_of_a_notebook_is_found_where_it_stands(indent: int | None) -> None:
    text = json.dumps(NOTEBOOK, indent=indent)
    found = contents_of("a.ipynb", text).findings
    assert [one.mode for one in found] == ["kill", "purge", "cancel", "kill", "purge", "kill"]
    rows = text.split("\n")
    for one, name in zip(found, "abcdef", strict=True):
        rest = rows[one.line - 1][one.column - 1 :]
        assert rest.startswith(("delete(", "curl -X DELETE"))
        assert rest.index(f"/{name}") < 70


# What it did: a line of more than 8,000 characters was left out, and nothing said so.
def test_an_export_on_one_line_is_read() -> None:
    items = [
        {"request": {"method": "DELETE", "url": {"raw": f"{URL}/{number}?mode=kill"}}}
        for number in range(200)
    ]
    text = json.dumps({"item": items})
    found = contents_of("a.json", text).findings
    assert len(found) == 200
    assert [text[one.column - 1 :].split("?")[0] for one in found] == [
        f"{URL}/{number}" for number in range(200)
    ]


@pytest.mark.parametrize("name", ["a.yml", "a.swift", "a.http", "a.md"])
def test_no_long_line_is_left_out(name: str) -> None:
    filling = "x" * 9_000
    text = f'{{"{filling}": 1}}; curl -X DELETE "{URL}/a?mode=kill"\n'
    assert [one.mode for one in contents_of(name, text).findings] == ["kill"]


def test_two_literals_of_one_line_are_two_calls() -> None:
    text = f'a("{URL}/a?mode=kill", .DELETE); b("{URL}/b?mode=purge", .DELETE)\n'
    found = contents_of("a.swift", text).findings
    assert [one.mode for one in found] == ["kill", "purge"]


def test_two_commands_of_one_item_are_two_calls() -> None:
    text = f"script:\n  - curl -X DELETE {URL}/a; curl -X DELETE {URL}/b?mode=kill\n"
    found = contents_of("a.yml", text).findings
    assert [(one.line, one.mode) for one in found] == [(2, "cancel"), (2, "kill")]


def test_what_is_no_json_is_read_line_by_line_and_that_is_said() -> None:
    text = f'{{ "a": {{% x %}},\n"kill": "curl -X DELETE {URL}/a?mode=kill" ]\n'
    contents = contents_of("a.json", text)
    assert [(one.line, one.mode) for one in contents.findings] == [(2, "kill")]
    assert "no JSON" in contents.skipped[0].reason


def test_what_is_not_read_of_a_fenced_block_is_said() -> None:
    text = f"```js\nlet a = '{'x' * 20_001}'; fetch('{URL}/a', {{ method: 'DELETE' }})\n```\n"
    (skipped,) = contents_of("a.md", text).skipped
    assert "a line of" in skipped.reason


def test_a_place_in_an_excerpt_is_that_in_the_text() -> None:
    text = "0123456789"
    excerpt = joined([Excerpt(text[1:3], ((0, 1),)), Excerpt(text[5:9], ((0, 5),))])
    assert excerpt.text == "125678"
    assert [excerpt.at(index) for index in range(6)] == [1, 2, 5, 6, 7, 8]
    assert excerpt.within(1, 4).text == "256"
    assert [excerpt.within(1, 4).at(index) for index in range(3)] == [2, 5, 6]
