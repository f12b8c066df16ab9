"""The page in a real Chromium: at a desk and on a phone, by day and by night."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from shim.ledger.evidence import Evidence
from shim.report.formats.page import CONTENT_SECURITY_POLICY, Filters, render_document, render_page
from tests.support.samples import (
    DAY,
    HOUR,
    NOW,
    hostile_evidence,
    hostile_uses,
    lively_evidence,
    logged_use,
    report_of,
    up,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


class Site:
    """Serves pages by path, as the ops listener does: with the policy, rendered per request."""

    def __init__(self) -> None:
        self.requests = 0
        self.broken = False
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests += 1
                if site.broken:
                    self.send_error(500)
                    return
                url = urlsplit(self.path)
                body = site.page(url.path, dict(parse_qsl(url.query))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name above
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def page(self, path: str, query: dict[str, str]) -> str:
        evidence, uses, seconds = {
            "/lively": (lively_evidence(), [logged_use(NOW - n * HOUR, n) for n in range(9)], 0),
            "/hostile": (hostile_evidence(), hostile_uses(), 0),
            "/quick": (lively_evidence(), [], 1),
            "/empty": (Evidence(spans=[up(NOW - DAY)]), [], 0),
        }[path]
        report = report_of(evidence)
        filters = Filters.from_query(query)
        return render_page(
            report,
            # Whoever reads the ledger chooses among them: here none ever fits.
            recent=[] if filters.chosen else uses,
            filters=filters,
            refresh_seconds=seconds,
            instance=f"seen-{self.requests}",
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def said() -> list[str]:
    """What the console said, what failed to load, which dialogs opened."""
    return []


def open_page(browser: Browser, url: str, said: list[str], width: int, scheme: str) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]  # light or dark
    )
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    page.goto(url)
    return page


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (1280, "dark"),
        (801, "light"),
        (768, "light"),
        (390, "light"),
        (390, "dark"),
    ],
)
@pytest.mark.parametrize("path", ["/lively", "/hostile", "/empty"])
def test_the_page_fits_and_the_console_is_silent(
    site: Site, browser: Browser, said: list[str], path: str, width: int, scheme: str
) -> None:
    page = open_page(browser, site.url + path, said, width, scheme)
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    assert page.title() != "owned"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 23)"
    assert dark == (scheme == "dark")
    page.close()


def test_hostile_names_do_nothing(site: Site, browser: Browser, said: list[str]) -> None:
    page = open_page(browser, site.url + "/hostile", said, 1280, "light")
    assert (
        page.evaluate("document.querySelectorAll('main script, main img, main [onerror]').length")
        == 0
    )
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert page.get_by_text("<script>document.title='owned'</script>").count() > 0
    assert said == []
    page.close()


def test_a_document_opens_from_a_file_in_its_own_style(
    browser: Browser, said: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_document(report_of(lively_evidence())), "utf-8")
    page = open_page(browser, file.as_uri(), said, 1280, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 23)"
    assert said == []
    page.close()


def test_a_click_on_a_caller_filters_the_recent_uses(
    site: Site, browser: Browser, said: list[str]
) -> None:
    page = open_page(browser, site.url + "/lively", said, 1280, "light")
    assert page.locator(".uses li").count() == 9
    page.get_by_role("link", name="orders-admin").first.click()
    assert page.locator(".uses li").count() == 0
    assert "caller=orders-admin" in page.url
    page.get_by_title("show all callers").click()
    assert page.locator(".uses li").count() == 9
    page.get_by_label("mode").select_option("purge")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**mode=purge**")
    assert page.locator(".uses li").count() == 0
    assert said == []
    page.close()


def test_a_link_to_a_caller_opens_what_it_is_folded_into(
    site: Site, browser: Browser, said: list[str]
) -> None:
    page = open_page(browser, site.url + "/lively", said, 1280, "light")
    folded = page.locator("article", has_text="billing-reaper")
    assert not folded.is_visible()
    anchor = folded.get_attribute("id")
    page.goto(f"{site.url}/lively?again#{anchor}")
    folded.wait_for(state="visible")
    assert said == []
    page.close()


def test_a_line_is_copied_with_a_click(site: Site, browser: Browser, said: list[str]) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.url + "/lively")
    page.locator("article summary").first.click()
    page.locator("button.copy").first.click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('curl -X PATCH "$RESTATE_ADMIN_URL"/invocations/INVOCATION_ID/')
    assert said == []
    context.close()


def test_the_page_refreshes_itself_and_says_when_it_cannot(
    site: Site, browser: Browser, said: list[str]
) -> None:
    page = open_page(browser, site.url + "/quick", said, 1280, "light")
    page.locator("summary").nth(1).click()
    page.get_by_text("seen-3").wait_for(timeout=10_000)
    assert page.locator("details[open]").count() == 1
    assert said == []
    assert not page.locator("#stale").is_visible()
    site.broken = True
    page.locator("#stale").wait_for(state="visible", timeout=10_000)
    site.broken = False
    page.locator("#stale").wait_for(state="hidden", timeout=10_000)
    page.close()
