"""Requests in JSON: of Postman, Insomnia and their like, recordings (HAR), lists of arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from shim.scan.arguments import CLIENT, METHOD
from shim.scan.commands import Command, Segment, commands_of_words, find_commands
from shim.scan.excerpts import Excerpt
from shim.scan.json_tree import Node
from shim.scan.judging import HOLE, Call, judge, route
from shim.scan.parts import Part
from shim.scan.requests import Request
from shim.scan.values import METHODS
from shim.scan.words import Word

_URL_KEY: Final = re.compile(r"(?i)[\w-]{0,20}(?:url|uri|path|endpoint|href|target|route|raw)")
_METHOD_KEY: Final = re.compile(r"(?i)[\w-]{0,20}(?:method|verb|type)")
_QUERY_KEY: Final = re.compile(
    r"(?i)(?:url|path)?_?(?:params|parameters|query|query_?params|query_?parameters|query_?string|qs|search_?params)"
)
_TEMPLATE: Final = re.compile(r"[{$<%]")
_MOST_PARTS: Final = 60


def requests_in(part: Part, nodes: list[Node]) -> Iterator[Request]:
    """Return requests that are objects; without a judgement those that are others."""
    for node in nodes:
        method = next(filter(None, map(_method_of, node.pairs)), None)
        url = next(filter(None, map(_url_of, node.pairs)), None)
        if url is None:
            continue
        text, at = url.text, url.at(0)
        keyed = () if "mode=" in text else tuple(_modes_of(node))
        judgement = judge(Call(method, text, keyed=keyed), restate=part.restate)
        if method or (judgement and judgement.mode_given):
            yield Request(at, at + len(text), text, judgement)


def _method_of(pair: tuple[str, int, Node]) -> str | None:
    key, _, node = pair
    if node.kind != "text" or not _METHOD_KEY.fullmatch(key):
        return None
    method = node.text.text.upper()
    return method if method in METHODS else None


def _url_of(pair: tuple[str, int, Node]) -> Excerpt | None:
    """Return a URL that holds the route, where it is a text, and where it is in parts."""
    key, _, node = pair
    if not _URL_KEY.fullmatch(key):
        return None
    if node.kind == "text" and "invocations" in node.source[node.start : node.end]:
        return node.text if route(node.text.text) is not None else None
    raw = node.get("raw")
    if raw is not None:
        return _url_of(("raw", 0, raw))
    path = node.get("path")
    if path is None or path.kind != "array":
        return None
    texts = [one.text.text for one in path.items[:_MOST_PARTS]]
    host = node.get("host")
    hosts = [one.text.text for one in host.items[:_MOST_PARTS]] if host is not None else []
    text = f"{'.'.join(hosts)}/{'/'.join(texts)}"
    return Excerpt(text, ((0, path.start),)) if route(text) is not None else None


def _modes_of(node: Node) -> Iterator[str]:
    """Return the modes among the parameters of a request."""
    for key, _, below in node.pairs:
        if below.kind == "object" and _URL_KEY.fullmatch(key):
            yield from _modes_of(below)
        if not _QUERY_KEY.fullmatch(key):
            continue
        named = [below.get("mode"), *map(_value_of_mode, below.items)]
        for value in filter(None, named):
            given = value.items[0] if value.items else value
            text = given.text.text
            yield HOLE if _TEMPLATE.search(text) else text


def _value_of_mode(item: Node) -> Node | None:
    """Return what an item of a list of parameters gives as the mode, if it is not switched off."""
    name = item.get("name") or item.get("key")
    if name is None or name.text.text != "mode":
        return None
    for key, off in (("disabled", "true"), ("enabled", "false"), ("active", "false")):
        switch = item.get(key)
        if switch is not None and switch.text.text == off:
            return None
    return item.get("value")


def commands_in_strings(part: Part, nodes: list[Node]) -> Iterator[Command]:
    """Return the commands that strings hold."""
    for node in nodes:
        if node.kind == "text":
            raw = part.text[node.start : node.end]
            if "invocations" in raw or CLIENT.search(raw):
                yield from (_moved(one, node.text, part) for one in find_commands(node.text.text))


def commands_in_lists(part: Part, nodes: list[Node]) -> Iterator[Command]:
    """Return the commands that are lists of arguments."""
    for node in nodes:
        if node.kind == "array":
            yield from _of_list(part, node)


def _of_list(part: Part, node: Node) -> Iterator[Command]:
    given = [item for item in node.items if item.kind in ("text", "word")]
    if len(given) < 2 or not any(
        "invocations" in part.text[item.start : item.end] for item in given
    ):
        return
    line = " ".join(part.text[item.start : item.end] for item in given)
    if CLIENT.search(line) is None and METHOD.search(line) is None:
        return
    words = [
        Word(item.text, item.start, item.end, ((0, len(item.text.text), False),), is_quoted=True)
        for item in given
    ]
    yield from commands_of_words(part.text, words)


def _moved(command: Command, text: Excerpt, part: Part) -> Command:
    """Return a command that a string holds with its places in the file."""
    start, end = text.at(command.start), text.at(command.end - 1) + 1
    held = text.within(command.start, command.end)
    return replace(
        command,
        start=start,
        end=end,
        at=text.at(command.at),
        code=part.text[start:end],
        segment=Segment(held, 0, held.text),
    )
