"""A small Restate service whose invocations can be brought into every state.

``python -m shim.demo.service PORT`` serves it on the loopback address.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

orders = restate.Service("Orders")
cart = restate.VirtualObject("Cart")


@orders.handler()
async def quick(_: restate.Context, order: str) -> str:
    """Complete at once."""
    return f"{order}: done"


@orders.handler()
async def work(ctx: restate.Context, order: str) -> str:
    """Run for an hour."""
    await ctx.sleep(timedelta(hours=1))
    return f"{order}: done"


@orders.handler(inactivity_timeout=timedelta(milliseconds=200))
async def nap(ctx: restate.Context, order: str) -> str:
    """Sleep for an hour; Restate suspends it meanwhile."""
    await ctx.sleep(timedelta(hours=1))
    return f"{order}: woken"


@orders.handler()
async def flap(_: restate.Context, order: str) -> str:
    """Fail again and again; Restate backs off in between."""
    raise ConnectionError(f"{order}: the warehouse does not answer")


@cart.handler()
async def hold(ctx: restate.ObjectContext, item: str) -> str:
    """Hold the object, so that whoever comes next waits in its inbox."""
    _, released = ctx.awakeable(type_hint=str)
    return f"{item}: {await released}"


def main(port: int) -> None:
    """Serve until stopped."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    asyncio.run(serve(restate.app([orders, cart]), config))


if __name__ == "__main__":
    main(int(sys.argv[1]))
