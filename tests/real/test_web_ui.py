"""Restate's web UI in a real Chromium, opened through the shim."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.real import Real, invocations

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Response

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.timeout(300)]


def test_the_web_ui_lists_an_invocation_through_the_shim(real: Real, browser: Browser) -> None:
    (invocation_id,) = invocations(real.restate, ["running"])
    wrong: list[str] = []
    seen: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})

    def look(response: Response) -> None:
        if response.url.startswith(real.shim.proxy):
            seen.append(response.url)
            if response.status >= 400:
                wrong.append(f"{response.status} {response.url}")

    page.on("response", look)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.goto(f"{real.shim.proxy}/ui/", wait_until="domcontentloaded")
    # Following the link keeps what the UI was opened with.
    page.goto(f"{real.shim.proxy}/ui/invocations", wait_until="domcontentloaded")
    page.get_by_text(re.compile(r"^work\b")).first.wait_for(timeout=120_000)
    assert wrong == []
    assert any("/query" in url for url in seen), seen
    page.goto(f"{real.shim.proxy}/ui/invocations/{invocation_id}", wait_until="domcontentloaded")
    page.get_by_text("Orders").first.wait_for(timeout=120_000)
    assert wrong == []
    page.close()
