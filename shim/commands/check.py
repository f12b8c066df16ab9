"""``restate-shim check``: what upstream has, and what the settings amount to."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TextIO

import aiohttp

from shim.ledger.errors import LedgerError
from shim.ledger.tables.opening import open_fleet, reading
from shim.moments import rfc3339
from shim.net.addresses import Address
from shim.route.meaning import Mode
from shim.route.policy import phases_in_words
from shim.route.windows import Schedule
from shim.settings.declared import Settings

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_OLD_PATH: Final = "/invocations/{invocation_id}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one upstream said.  ``None`` where it did not say."""

    upstream: str
    reachable: bool
    error: str | None = None
    version: str | None = None
    admin_api: str | None = None
    new_endpoints: bool | None = None
    old_route: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether a shim before this upstream can do its work."""
        return self.reachable and bool(self.new_endpoints or self.old_route)


async def check(settings: Settings, style: str, out: TextIO, now: datetime) -> int:
    """Look at every upstream and print what was found; return 0 if all is well, else 1."""
    findings = [await look(settings, address) for address in settings.upstream]
    fleet_error = await asyncio.to_thread(_look_at_fleet, settings.fleet)
    ok = all(finding.ok for finding in findings) and fleet_error is None
    if style == "json":
        body = {
            "ok": ok,
            "upstreams": [{**asdict(finding), "ok": finding.ok} for finding in findings],
            "fleet": {"asked_for": settings.fleet is not None, "error": fleet_error},
            "settings": _summary(settings, now),
        }
        out.write(json.dumps(body, indent=2) + "\n")
    else:
        summary = _summary(settings, now)
        width = max(map(len, summary))
        lines = [line for finding in findings for line in _sentences(finding)]
        if settings.fleet is not None:
            lines.append(fleet_error or "the fleet takes records")
        lines += [f"  {name:<{width}}  {value}" for name, value in summary.items()]
        lines.append("ready to serve" if ok else "not ready to serve: see above")
        out.write("\n".join(lines) + "\n")
    return 0 if ok else 1


def _look_at_fleet(url: str | None) -> str | None:
    """Open the fleet, if there is to be one, as a shim does, and return why it cannot be written.

    That makes its tables where they are missing.
    """
    if url is None:
        return None
    try:
        with reading(url):
            open_fleet(url).close()
    except LedgerError as error:
        return f"fleet: {error}"
    return None


async def look(settings: Settings, address: Address) -> Finding:
    """Ask one upstream for ``/version`` and ``/openapi``."""
    connector: aiohttp.BaseConnector
    if address.path is not None:
        connector = aiohttp.UnixConnector(address.path)
        base = "http://localhost"
    else:
        connector = aiohttp.TCPConnector(ssl=settings.upstream_tls() or True)
        base = address.url
    host = settings.upstream_host
    headers = None if host is None else {"Host": host.decode()}
    async with aiohttp.ClientSession(
        connector=connector, timeout=_TIMEOUT, headers=headers
    ) as session:
        try:
            version = await _get(session, f"{base}/version")
            openapi = await _get(session, f"{base}/openapi")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Finding(address.url, reachable=False, error=_why(error))
    if not isinstance(version, dict) or "version" not in version:
        what = "it answers, but not as a Restate admin API does: is it the admin port (9070)?"
        return Finding(address.url, reachable=True, error=what)
    paths = openapi.get("paths", {}) if isinstance(openapi, dict) else {}
    old = "delete" in paths.get(_OLD_PATH, {})
    new = all("patch" in paths.get(f"{_OLD_PATH}/{mode}", {}) for mode in Mode)
    low, high = version.get("min_admin_api_version"), version.get("max_admin_api_version")
    return Finding(
        address.url,
        reachable=True,
        version=str(version["version"]),
        admin_api=None if low is None else f"v{low}-v{high}",
        new_endpoints=new if paths else None,
        old_route=old if paths else None,
    )


def ops_url(listen: Address) -> str:
    """Return where to ask a shim on this machine whose ``--ops-listen`` is ``listen``."""
    if listen.path is not None:
        return listen.url
    # A listener on all interfaces is asked on the loopback one; not each has an address of IPv6.
    everywhere = listen.host in ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on
    return Address("127.0.0.1" if everywhere else listen.host, listen.port).url


async def check_alive(ops: str, err: TextIO) -> int:
    """Ask a running shim's ``/live``; return 0 if it lives, else 1, with the reason on ``err``."""
    path = ops.removeprefix("unix:") if ops.startswith("unix:") else None
    connector = None if path is None else aiohttp.UnixConnector(path)
    # As --ops-listen has it, too.
    url = ops if "://" in ops else f"http://{ops}"
    base = url.rstrip("/") if path is None else "http://localhost"
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=3)
            ) as session,
            session.get(f"{base}/live") as response,
        ):
            if response.status == HTTPStatus.OK:
                return 0
            err.write(f"restate-shim check: {ops}/live answered {response.status}\n")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        err.write(f"restate-shim check: {ops} is not live: {_why(error)}\n")
    return 1


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url, allow_redirects=False) as response:
        if response.status != HTTPStatus.OK:
            return None
        return await response.json(content_type=None)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer within 10 s"
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientSSLError
    ):
        cause = error.os_error
        # asyncio words some causes itself, with the address that stands before it already.
        number = cause.errno or 0
        return os.strerror(number) if number > 0 else cause.strerror or str(error)
    return str(error) or type(error).__name__


def _sentences(finding: Finding) -> list[str]:
    if not finding.reachable:
        return [f"{finding.upstream}: not reachable: {finding.error}"]
    if finding.error:
        return [f"{finding.upstream}: {finding.error}"]
    api = f", admin API {finding.admin_api}" if finding.admin_api else ""
    new = {
        True: "has the new endpoints: old calls can be translated",
        False: "has no new endpoints (they came with 1.4): old calls are made as they are",
        None: "has no OpenAPI document: which endpoints it has will be seen from its answers",
    }[finding.new_endpoints]
    old = {
        True: "still has the old route",
        False: "no longer has the old route: without the shim, old callers break",
        None: "",
    }[finding.old_route]
    lines = [f"{finding.upstream}: Restate {finding.version}{api}", f"  {new}"]
    return [*lines, f"  {old}"] if old else lines


def _summary(settings: Settings, now: datetime) -> dict[str, str]:
    """Return what the settings amount to, in the words of their flags."""
    window = next(Schedule(settings.brownout, settings.brownout_jitter).following(now), None)
    brownout = "none to come"
    if window is not None:
        brownout = f"next {rfc3339(window.start)} to {rfc3339(window.end)}"
        if settings.brownout_share < 1:
            brownout += f", {settings.brownout_share:.3g} of the invocations"
    sunset = "" if settings.sunset is None else f", Sunset {rfc3339(settings.sunset)}"
    return {
        "listen": str(settings.listen) + (" (TLS)" if settings.tls_cert else ""),
        "ops-listen": str(settings.ops_listen),
        "phase": phases_in_words(settings.terms, now),
        "brownout": brownout,
        "replies": settings.replies,
        "headers": "none" if settings.no_headers else f"Deprecation, Link{sunset}",
        "ledger": str(settings.ledger or "memory"),
        "fleet": "yes" if settings.fleet else "no",
        "caller": ",".join(settings.caller),
        "trusted-proxies": ",".join(map(str, settings.trusted_proxies)) or "none",
        "[[caller]] entries": str(len(settings.callers)),
    }
