"""What the proxy port rests on in aiohttp beyond its documented interface; a later one may move it.

Each test fails with the name of what was moved, where it would otherwise be found out on the wire.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import textwrap

from aiohttp import web, web_protocol
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EMPTY_PAYLOAD

from shim.proxy.seams import Parser, Request, Sent


def attributes_of(name: str, *functions: object) -> set[str]:
    """Which attributes of ``name`` (``request``, ``self._parser``) these functions use."""
    found = set()
    for function in functions:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == name:
                found.add(node.attr)
    return found


HANDLING = (
    web.RequestHandler.start,
    web.RequestHandler._handle_request,  # noqa: SLF001 - this is what may move
    web.RequestHandler.finish_response,
    web.RequestHandler.connection_lost,
    web.RequestHandler.shutdown,
)


def test_the_parser_is_an_attribute_that_data_received_feeds() -> None:
    assert "_parser" in BaseProtocol.__slots__
    fed = attributes_of("self._parser", web.RequestHandler.data_received)
    assert fed == {"feed_data"}


def test_nothing_else_is_asked_of_a_parser_that_never_switches_protocols() -> None:
    asked = attributes_of("self._parser", *HANDLING)
    # An upgrade is what the second of them is about.
    assert asked - {"set_upgraded", "feed_data"} <= {
        name for name, _ in inspect.getmembers(Parser, inspect.isfunction)
    }


def test_a_request_is_asked_for_what_ours_has() -> None:
    asked = attributes_of("request", *HANDLING) | attributes_of("self._current_request", *HANDLING)
    assert asked == {"_finish", "_task", "_cancel"}
    assert {"_finish", "_cancel"} <= set(dir(Request))


def test_a_response_is_asked_for_what_ours_overrides() -> None:
    asked = attributes_of("resp", *HANDLING) - {"status", "reason", "headers"}
    assert asked == {"prepare", "write_eof", "keep_alive"}
    assert asked <= set(vars(Sent))


def test_a_body_that_aiohttp_knows_nothing_of_has_ended() -> None:
    assert EMPTY_PAYLOAD.is_eof()


def test_messages_wait_in_a_queue_until_the_handler_s_task_takes_them() -> None:
    source = inspect.getsource(web.RequestHandler.data_received)
    assert "messages, upgraded, tail = self._parser.feed_data(data)" in source
    assert "self._messages.append((msg, payload))" in source
    assert "self._request_factory(" in inspect.getsource(web.RequestHandler.start)


def test_a_connection_that_is_forced_to_close_takes_nothing_more() -> None:
    assert "if self._force_close or self._close:" in inspect.getsource(
        web.RequestHandler.data_received
    )


async def test_the_documented_switches_are_still_there() -> None:
    handler = web.RequestHandler(
        web.Server(lambda _: asyncio.sleep(0)),  # type: ignore[arg-type, return-value]
        loop=asyncio.get_running_loop(),
        keepalive_timeout=1.0,
        auto_decompress=False,
        access_log=None,  # type: ignore[arg-type]
        lingering_time=0,
    )
    assert handler.keepalive_timeout == 1.0
    assert web_protocol.RequestHandler is web.RequestHandler


def test_what_connection_and_server_use_of_their_bases_is_there() -> None:
    assert {"_loop", "transport"} <= set(BaseProtocol.__slots__)
    assert isinstance(inspect.getattr_static(BaseProtocol, "writing_paused"), property)
    assert "self.transport.close()" in inspect.getsource(web.RequestHandler.force_close)
    assert "self._loop = loop" in inspect.getsource(web.Server.__init__)
    assert attributes_of("handler", web.Server.connection_lost) == {"_task_handler"}


def test_the_server_is_told_of_each_connection_that_is_made() -> None:
    told = attributes_of("self._manager", web.RequestHandler.connection_made)
    assert "connection_made" in told
    parameters = list(inspect.signature(web.Server.connection_made).parameters)
    assert parameters == ["self", "handler", "transport"]
