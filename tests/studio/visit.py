"""A browser's window on the studio, and what the tests do in it.

With ``TTOM_SCREENSHOTS=docs/images`` the pictures of the documentation are made on the way.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.browser import until

ROOT = Path(__file__).parents[2]
FRAMES = 17
PROMPT = "A balloon and a dog"
__test__ = False


class Visit:
    """A browser's window on the studio. It must leave no error in the console and ask no other host for anything."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.address, self.page = address, self.context.new_page()
        self.troubles: list[str] = []
        self.refusals = 0
        page = self.page
        page.set_default_timeout(20_000)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        self.open()

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "blob:", "data:")):
            self.troubles.append(url)

    def _heard(self, message: Any) -> None:
        if "status of 4" in message.text:  # the browser reports each refused request; the tests say how many
            self.refusals += 1
        elif message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.wait_for_selector("body.ready")

    def layout(self) -> list[dict[str, Any]]:
        """The objects in the editor."""
        self.page.wait_for_timeout(250)  # the page stores its state a moment after the last change
        kept: dict[str, Any] = json.loads(self.page.evaluate("localStorage.getItem('ttom-studio')"))
        found: list[dict[str, Any]] = kept["document"]["objects"]
        return found

    def point(self, x: float, y: float, area: str = "#stage") -> tuple[float, float]:
        """Shares of an element as a place in the window."""
        self.page.locator(area).scroll_into_view_if_needed()
        box = self.page.locator(area).bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        mouse.move(*end)
        mouse.up()

    def draw(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag on the picture, in shares of it."""
        self.drag(self.point(*start), self.point(*end))

    def scrub(self, frame: int) -> None:
        self.page.mouse.click(*self.point(frame / (FRAMES - 1), 0.5, "#ruler-track"))
        self.until(f"document.getElementById('time').textContent.startsWith('{frame} /')")

    def until(self, condition: str) -> None:
        until(self.page, condition)

    def word(self, text: str) -> Any:
        return self.page.locator("#words button", has_text=text).first

    def shot(self, name: str, area: str | None = None) -> None:
        """A picture of the window, or of an element of it, for the documentation, if asked for."""
        folder = os.environ.get("TTOM_SCREENSHOTS")
        if not folder:
            return
        path = ROOT / folder / f"studio-{name}.png"
        place = "scrollTo({ top: 0, behavior: 'instant' })"
        if area is not None:
            place = f"document.querySelector('{area}').scrollIntoView({{ block: 'center', behavior: 'instant' }})"
        self.page.set_viewport_size({"width": 1280, "height": 1200})
        self.page.evaluate(place)
        self.page.wait_for_timeout(400)
        (self.page if area is None else self.page.locator(area)).screenshot(path=path)
        self.page.set_viewport_size({"width": 1280, "height": 900})


def api(address: str, path: str) -> Any:
    with urlopen(address.rstrip("/") + path, timeout=20) as answer:
        return json.load(answer)


def draw_two(visit: Visit) -> None:
    """A balloon that flies from the right to the left, and a dog that stays."""
    page = visit.page
    page.fill("#prompt", PROMPT)
    visit.word("balloon").click()
    visit.draw((0.64, 0.06), (0.92, 0.48))
    visit.scrub(16)
    visit.draw((0.78, 0.27), (0.22, 0.27))
    page.keyboard.press("Escape")
    visit.word("dog").click()
    visit.draw((0.36, 0.52), (0.64, 0.94))


def choose(page: Any, method: str, **settings: float) -> None:
    page.locator(f"input[name=method][value={method}]").check()
    page.locator(".settings-area").evaluate("(details) => { details.open = true; }")
    for name, value in settings.items():
        field = page.locator(f"#setting-{name.replace('__', '-')}")
        field.fill(str(value))
        field.blur()
    page.locator(".settings-area").evaluate("(details) => { details.open = false; }")


def generate(page: Any, state: str = "done", seconds: float = 60) -> str:
    """Press the button and wait for the state; returns the run's id."""
    with page.expect_response(lambda r: r.url.endswith("/api/runs") and r.request.method == "POST") as answer:
        page.locator("#generate").click()
    found: str = answer.value.json()["id"]
    page.locator(f'#history-list .chosen[data-key="{found}"]').wait_for()  # until then the run before is shown
    page.locator(f"#run-state.{state}").wait_for(timeout=seconds * 1000)
    return found


def drop(page: Any, name: str, text: str) -> None:
    """Drop a file onto the page."""
    page.evaluate(
        """([name, text]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([text], name, { type: "application/json" }));
          for (const kind of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        [name, text],
    )
