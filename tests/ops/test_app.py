"""What all endpoints have in common: who may ask, how, and what an error looks like."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from aiohttp import ClientResponse
from prometheus_client.parser import text_string_to_metric_families

from shim.ledger.errors import LedgerError
from shim.ops.reports import Reports
from tests.support.ops import Ops, Start

TOKEN = "a-long-token"
HEALTH = ("/live", "/ready")
GUARDED = ("/metrics", "/usage", "/usage.json", "/usage.csv", "/phase")


async def check_error(got: ClientResponse, status: int) -> str:
    """An error in Restate's shape; returns what it says."""
    assert got.status == status
    assert got.content_type == "application/json"
    body = await got.json()
    assert set(body) == {"message", "restate_code"}
    assert body["restate_code"] is None
    message: str = body["message"]
    return message


@pytest.mark.parametrize("path", [*HEALTH, *GUARDED])
async def test_each_is_there_and_is_not_to_be_kept(path: str, ops: Ops) -> None:
    got = await ops.client.get(path)
    assert got.status == 200
    assert got.headers["Cache-Control"] == "no-store"
    assert await got.read()


@pytest.mark.parametrize("path", [*HEALTH, *GUARDED])
async def test_head_tells_the_same_without_a_body(path: str, ops: Ops) -> None:
    got, whole = await ops.client.head(path), await ops.client.get(path)
    assert got.status == whole.status == 200
    assert got.content_type == whole.content_type
    assert await got.read() == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [*HEALTH, *GUARDED])
async def test_nothing_is_changed_over_http(path: str, method: str, ops: Ops) -> None:
    got = await ops.client.request(method, f"{path}?phase=reject")
    assert path in await check_error(got, 405)
    assert got.headers["Allow"] == "GET,HEAD"
    assert (await (await ops.client.get("/phase")).json())["phase"] == "translate"


@pytest.mark.parametrize("path", ["/", "/usage/", "/usage.xml", "/Live", "/metrics/x"])
async def test_what_is_not_there_is_404(path: str, ops: Ops) -> None:
    assert "Not Found" in await check_error(await ops.client.get(path), 404)


class TestToken:
    """`--ops-token`: everything but health asks for it."""

    @pytest.mark.parametrize(
        "given",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer another-token",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN.upper()}",
            f"Basic {TOKEN}",
            TOKEN,
            "Bearer tök\udce9n",
        ],
        ids=ascii,
    )
    @pytest.mark.parametrize("path", GUARDED)
    async def test_without_it_nothing_is_told(
        self, path: str, given: str | None, start: Start
    ) -> None:
        ops = await start(ops_token=TOKEN)
        got = await ops.client.get(path, headers={} if given is None else {"Authorization": given})
        assert "--ops-token" in await check_error(got, 401)
        assert got.headers["WWW-Authenticate"] == 'Bearer realm="restate-shim"'
        assert TOKEN not in await got.text()

    @pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
    @pytest.mark.parametrize("path", GUARDED)
    async def test_with_it_everything_is(self, path: str, given: str, start: Start) -> None:
        ops = await start(ops_token=TOKEN)
        got = await ops.client.get(path, headers={"Authorization": given})
        assert got.status == 200

    @pytest.mark.parametrize("path", HEALTH)
    async def test_health_is_for_everybody(self, path: str, start: Start) -> None:
        ops = await start(ops_token=TOKEN)
        assert (await ops.client.get(path)).status == 200

    @pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/phase")])
    async def test_nor_is_what_there_is(self, method: str, path: str, start: Start) -> None:
        """A stranger is not told which paths and methods there are."""
        ops = await start(ops_token=TOKEN)
        got = await ops.client.request(method, path)
        await check_error(got, 401)
        assert "Allow" not in got.headers


@pytest.mark.parametrize(
    ("accepts", "content_type", "last"),
    [
        (None, "text/plain; version=", "\n"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text", "# EOF\n"),
    ],
)
async def test_metrics_come_in_the_format_that_is_asked_for(
    accepts: str | None, content_type: str, last: str, ops: Ops
) -> None:
    ops.metrics.request("pass_through", "GET", 200, 0.0001, 0.002)
    got = await ops.client.get("/metrics", headers={"Accept": accepts} if accepts else {})
    text = await got.text()
    assert got.headers["Content-Type"].startswith(content_type)
    assert text.endswith(last)
    samples = {
        (sample.name, sample.labels.get("route")): sample.value
        for family in text_string_to_metric_families(text.removesuffix("# EOF\n"))
        for sample in family.samples
    }
    assert samples["restate_shim_requests_total", "pass_through"] == 1


# A ledger may lie at a path that is no UTF-8.
async def test_an_error_that_is_no_text_is_said_with_marks_in_its_place(ops: Ops) -> None:
    error = LedgerError("the ledger at /\udcff.db is é")
    with patch.object(Reports, "report", side_effect=error):
        got = await ops.client.get("/verdict")
    assert got.status == 503
    assert (await got.json())["message"] == "the ledger at /?.db is é"
