"""The page in a real browser, from file://, as a reader meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.report.__main__ import main
from tests.browser import until
from tests.eval.report.synthetic import FPS, write_three_runs

PLAYERS = "[...document.querySelectorAll('.case:first-child video')]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose page embeds everything, and one that embeds nothing."""
    folder = tmp_path_factory.mktemp("report")
    runs = [str(path) for path in write_three_runs(folder / "runs", cases=12)]
    assert main([*runs, "--out", str(folder / "embedded"), "--embed", "all"]) == 0
    assert main([*runs, "--out", str(folder / "linked"), "--embed", "none"]) == 0
    return folder


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    """A page that must leave no error in the console and ask for nothing but files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "blob:", "data:")) else troubles.append(r.url))
    yield page
    context.close()
    assert not troubles


def open_videos(page: Any, folder: Path, which: str = "embedded") -> None:
    page.goto((folder / which / "report.html").as_uri())
    page.locator("#videos").scroll_into_view_if_needed()
    page.locator(".case").first.scroll_into_view_if_needed()
    until(page, f"{PLAYERS}.length === 3 && {PLAYERS}.every((video) => video.readyState >= 3)")


def cases(page: Any) -> list[str]:
    return page.locator(".case").evaluate_all("(all) => all.map((each) => each.dataset.case)")


@pytest.mark.parametrize("which", ["embedded", "linked"])
def test_videos_play_in_step(page: Any, folder: Path, which: str) -> None:
    open_videos(page, folder, which)
    page.locator("#play").click()
    until(page, f"{PLAYERS}.every((video) => !video.paused && video.currentTime > 0.4)")
    times = page.evaluate(f"{PLAYERS}.map((video) => video.currentTime)")
    assert max(times) - min(times) < 1 / FPS
    page.locator("#play").click()
    until(page, f"{PLAYERS}.every((video) => video.paused && !video.seeking)")
    times = page.evaluate(f"{PLAYERS}.map((video) => video.currentTime)")
    assert max(times) - min(times) < 1e-3


def test_playback_starts_again_at_the_end(page: Any, folder: Path) -> None:
    open_videos(page, folder)
    page.locator("#seek").evaluate("(slider) => { slider.value = 900; slider.dispatchEvent(new Event('input')); }")
    until(page, f"{PLAYERS}.every((video) => video.currentTime > 1.8)")
    page.keyboard.press(" ")
    until(page, f"{PLAYERS}.every((video) => !video.paused && video.currentTime < 1)")


def test_keys_step_by_a_frame_and_boxes_follow_the_layout(page: Any, folder: Path) -> None:
    open_videos(page, folder)
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    until(page, f"{PLAYERS}.every((video) => !video.seeking && Math.abs(video.currentTime * {FPS} - 8) < 0.1)")
    page.wait_for_timeout(100)
    # The layout moves from x = .05 to .65 over 16 steps: .35 of 192 pixels halfway.
    left = page.locator(".case").first.locator("svg rect").first.get_attribute("x")
    assert float(left) == pytest.approx(0.35 * 192, abs=0.5)
    page.keyboard.press("b")
    assert not page.locator(".case").first.locator(".frame svg").first.is_visible()
    assert page.locator("#boxes").get_attribute("aria-pressed") == "false"
    page.locator("#boxes").click()
    assert page.locator(".case").first.locator(".frame svg").first.is_visible()


def test_filters_filter(page: Any, folder: Path) -> None:
    open_videos(page, folder)
    assert page.locator("#count").inner_text() == "12 of 12 cases"
    assert len(cases(page)) == 6
    page.locator("#filter-category").select_option("motion")
    assert cases(page) == ["motion-0000", "motion-0003", "motion-0006", "motion-0009"]
    page.locator("#filter-group").select_option(label="direction: left")
    assert cases(page) == ["motion-0003", "motion-0009"]
    page.locator("#filter-text").fill("take 9")
    assert cases(page) == ["motion-0009"]
    page.locator("#filter-text").fill("no such prompt")
    assert cases(page) == [] and page.locator("#count").inner_text() == "0 of 12 cases"
    for control, value in (("text", None), ("category", ""), ("group", "")):
        target = page.locator(f"#filter-{control}")
        target.fill("") if value is None else target.select_option(value)
    page.locator("#filter-status").select_option("refused")
    assert cases(page) == ["relation-0001"]
    assert "refused: the planner did not understand" in page.locator(".case").inner_text()


def test_filters_by_who_wins(page: Any, folder: Path) -> None:
    open_videos(page, folder)
    page.locator("#filter-size").select_option("24")
    page.locator("#filter-metric").select_option(label="layout iou (proxy)")
    found = []
    for label in ("base alone", "ttom alone", "ttom + memory alone", "tie", "not comparable"):
        page.locator("#filter-winner").select_option(label=label)
        shown = cases(page)
        if label.endswith("alone"):
            assert page.locator(".best").count() == len(shown)
        found += shown
    assert len(found) == len(set(found)) == 12
    page.locator("#filter-winner").select_option("")
    page.locator("#filter-order").select_option("gains")
    gains = page.locator(".case").evaluate_all(
        """(all) => all.map((each) => {
          const score = (player) => [...player.querySelectorAll(".scores li")]
            .find((li) => li.textContent.startsWith("layout"))?.querySelector("b").textContent ?? -9;
          const value = [...each.querySelectorAll(".player")].map((player) => Number(score(player)));
          return Math.max(value[1], value[2]) - value[0];
        })"""
    )
    assert gains == sorted(gains, reverse=True)


def test_layout_attention_and_report_of_a_case(page: Any, folder: Path) -> None:
    open_videos(page, folder)
    page.locator(".case summary").first.click()
    extras = page.locator(".case").first.locator(".extras")
    extras.locator("svg.plan").wait_for(state="attached")  # the browser tells of an opened case a moment later
    assert extras.locator("svg.plan").count() == 1
    until(page, "[...document.querySelectorAll('.extras img')].filter((i) => i.naturalWidth).length === 3")
    assert "</script><b>" in extras.locator("pre").first.inner_text()


def test_the_table_of_the_breakdown(page: Any, folder: Path) -> None:
    page.goto((folder / "embedded" / "report.html").as_uri())
    page.locator("#breakdown-by").select_option("direction")
    text = page.locator("#breakdown-table").inner_text()
    assert "left" in text and "right" in text and "pairs" in text
    assert "1 refused" in page.locator("#summary-tables").inner_text()


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_scrolls_sideways(browser: Any, folder: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    open_videos(page, folder)
    page.locator(".case summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def test_every_control_has_a_name_and_colors_have_contrast(browser: Any, folder: Path) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")
        open_videos(page, folder)
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(CONTRASTS) >= 4.5
        page.close()


NAMELESS = """() => [...document.querySelectorAll("button, select, input, video, [role=img]")]
  .filter((each) => !(each.tagName === "BUTTON" && each.textContent.trim()) && !each.labels?.length && !each.ariaLabel)
  .map((each) => each.outerHTML)"""
CONTRASTS = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => parts(text).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((parts(color)[3] ?? 1) === 1 && color.startsWith("rgb(")) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const kinds = "p, .muted, .tag, td, th, label, .sub, .best, .missing, summary, .primary, .scores, figcaption";
  const found = [...document.querySelectorAll(kinds)]
    .filter((node) => node.offsetParent).map((node) => {
      const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
  return Math.min(...found);
}"""
