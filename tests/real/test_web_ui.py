"""Restate's web UI in a real Chromium, opened through the shim."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest

from .running import Real, invocations

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.timeout(300)]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CHROMIUM = shutil.which("chromium")

try:
    from playwright.sync_api import Browser, Response, sync_playwright
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("Playwright is not installed", allow_module_level=True)

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("chromium is not on the PATH", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "CI installs chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


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
    page.get_by_text(re.compile(r"^work\b")).first.wait_for(timeout=30_000)
    assert wrong == []
    assert any("/query" in url for url in seen), seen
    page.goto(f"{real.shim.proxy}/ui/invocations/{invocation_id}", wait_until="domcontentloaded")
    page.get_by_text("Orders").first.wait_for(timeout=30_000)
    assert wrong == []
    page.close()
