"""What one writes first with aiohttp: a handler with a ``ClientSession``.

``python -m tests.bench.plain_aiohttp UPSTREAM-PORT``.  Bodies that say that they are short are read
whole, for one write is quicker than two; the others stream.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from typing import Final

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

_SHORT: Final = 1024 * 1024
_OLD: Final = re.compile(r"(?:/v[0-9]+)?/invocations/[^/]+")
_MODES: Final = frozenset({"cancel", "kill", "purge"})


def _short(length: int | None) -> bool:
    return length is not None and length < _SHORT


async def _body(request: web.BaseRequest) -> bytes | AsyncIterator[bytes] | None:
    if not request.body_exists:
        return None
    if _short(request.content_length):
        return await request.read()
    return request.content.iter_any()


async def _serve(upstream: int) -> None:
    connector = TCPConnector(limit=0)
    jar = DummyCookieJar()
    async with ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False) as session:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            method, target, old = request.method, request.raw_path, False
            if method == "DELETE" and _OLD.fullmatch(request.path):
                mode = request.query.get("mode", "cancel").lower()
                old = mode in _MODES
                if old:
                    method, target = "PATCH", f"{request.path}/{mode}"
            body = await _body(request)
            headers = {}
            if body is not None:
                headers["Content-Type"] = request.headers.get("Content-Type", "")
                if request.content_length is not None:
                    headers["Content-Length"] = str(request.content_length)
            url = f"http://127.0.0.1:{upstream}{target}"
            async with session.request(method, url, data=body, headers=headers) as answer:
                if old and answer.status in {200, 404, 409}:
                    return web.Response(status=202)
                headers = {
                    name: answer.headers[name]
                    for name in ("Content-Type", "Content-Length")
                    if name in answer.headers
                }
                if _short(answer.content_length) or answer.status == 204:
                    whole = await answer.read()
                    return web.Response(status=answer.status, body=whole, headers=headers)
                reply = web.StreamResponse(status=answer.status, headers=headers)
                await reply.prepare(request)
                async for data in answer.content.iter_any():
                    await reply.write(data)
                await reply.write_eof()
                return reply

        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        print("listening", runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
