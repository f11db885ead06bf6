"""How the page looks and reads, with the runs of the tests before, in a real browser; and who may ask its server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.studio.visit import Visit


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    """With a layout, the results of the tests before, open settings, and a memory of long prompts."""
    visit = Visit(browser, address, viewport={"width": width, "height": 800})
    page = visit.page
    entry = {"id": 1, "prompt": "word " * 60, "key": "x" * 80, "uses": 3, "created": 1.8e9}
    page.route("**/api/memory", lambda route: route.fulfill(json={"entries": [entry]}))
    page.locator("#memory-refresh").click()
    page.locator("#memory-entries tbody tr").wait_for()
    page.fill("#prompt", "A balloon moves from left to right above a house")
    page.locator("#plan").click()
    page.locator(".boxes .box").nth(1).wait_for()
    page.evaluate(
        """async () => {
          const { edit } = await import("/static/store.js");
          edit((draft) => { draft.objects[0].phrase = "very long phrase ".repeat(10).trim(); });
        }"""
    )
    page.locator("#problems").wait_for()
    page.locator(".settings-area").evaluate("(details) => { details.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    visit.context.close()
    assert visit.troubles == []


def test_a_server_that_answers_again_is_no_longer_reported_as_away(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    page = visit.page
    page.fill("#prompt", "A zeppelin")
    visit.context.set_offline(True)
    visit.word("zeppelin").click()
    visit.draw((0.2, 0.2), (0.5, 0.6))
    page.locator("#problems li", has_text="does not answer").wait_for()
    page.locator("#plan").click()
    page.locator("#refused", has_text="does not answer").wait_for()
    page.locator("#export").click()
    page.locator("#message", has_text="does not answer").wait_for()
    visit.context.set_offline(False)
    page.locator("#message").wait_for(state="hidden")
    page.locator("#problems li", has_text="zeppelin").wait_for()
    assert page.locator("#problems li", has_text="does not answer").count() == 0
    assert page.locator("#refused").is_hidden()
    visit.context.close()
    assert all("ERR_INTERNET_DISCONNECTED" in each for each in visit.troubles), visit.troubles


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, address: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    visit = Visit(browser, address, color_scheme=scheme, reduced_motion="reduce")
    page = visit.page
    page.fill("#prompt", "A balloon moves from left to right above a house")
    page.locator("#plan").click()
    page.locator(".boxes .box").nth(1).wait_for()
    page.locator(".settings-area").evaluate("(details) => { details.open = true; }")
    page.wait_for_timeout(500)
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious] == []
    visit.context.close()


def test_a_page_of_another_site_is_refused(address: str) -> None:
    """The page relies on it: there is no token on the loopback address."""
    request = Request(address + "api/plan", b'{"prompt": "a dog"}', {"Origin": "http://evil.example"})
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=20)
    assert refused.value.code == 403
