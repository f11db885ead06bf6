"""Boxes planned and drawn on the page, by mouse, keys and touch, in a real browser."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.studio.visit import FRAMES, PROMPT, Visit
from ttom.layout.model import Layout

# ---- the model of the layout ----


def test_boxes_are_interpolated_as_in_python(visit: Visit) -> None:
    rng = random.Random(0)
    for _ in range(20):
        times = sorted({round(rng.random(), 2) for _ in range(rng.randint(1, 5))})
        frames = []
        for time in times:
            x, y = rng.random() / 2, rng.random() / 2
            frames.append({"time": time, "box": {"x0": x, "y0": y, "x1": x + 0.3, "y1": y + 0.4}})
        item = {"id": "a", "phrase": "dog", "noun": "dog", "visible": [0.2, 0.9], "key_frames": frames}
        ours = Layout.model_validate({"prompt": "a dog", "objects": [item]}).objects[0]
        at = [0.0, 0.2, 0.9, 1.0, *times, *(rng.random() for _ in range(20))]
        theirs = visit.page.evaluate(
            """async ([item, times]) => {
              const { boxAt, isVisible } = await import("/static/layout.js");
              return times.map((time) => (isVisible(item, time) ? boxAt(item, time) : null));
            }""",
            [item, at],
        )
        assert theirs == [box.model_dump() if (box := ours.box_at(time)) else None for time in at]


def test_masks_are_those_of_the_model(visit: Visit) -> None:
    torch = pytest.importorskip("torch")
    from ttom.layout.raster import latent_times, rasterize
    from ttom.types import TokenGrid

    box = {"x0": 0.1, "y0": 0.3, "x1": 0.45, "y1": 0.8}
    item = {"id": "a", "phrase": "dog", "noun": "dog", "key_frames": [{"time": 0.0, "box": box}]}
    layout = Layout.model_validate({"prompt": "a dog", "objects": [item]})
    ours = rasterize(layout, TokenGrid(5, 8, 12), frames=FRAMES, temporal_compression=4).masks[0, 0]
    times, theirs = visit.page.evaluate(
        """async (box) => {
          const { latentFrame, maskOf } = await import("/static/mask.js");
          return [[0, 1, 4, 5, 16].map((frame) => latentFrame(frame, 17, 5)), maskOf(box, 8, 12)];
        }""",
        box,
    )
    mask = torch.tensor(theirs).reshape(8, 12)
    assert torch.allclose(mask / mask.sum(), ours, atol=1e-6)
    centers = latent_times(5, FRAMES, 4).tolist()
    assert [each["index"] for each in times] == [0, 1, 1, 2, 4]
    assert [each["time"] for each in times] == pytest.approx([centers[each["index"]] for each in times])


# ---- planning ----


def test_a_prompt_is_planned_and_a_refusal_says_why(visit: Visit) -> None:
    page = visit.page
    page.fill("#prompt", "A balloon moves from left to right above a house")
    page.locator("#plan").click()
    page.locator(".boxes .box").nth(1).wait_for()
    assert [item["phrase"] for item in visit.layout()] == ["balloon", "house"]
    assert page.locator("#notes").is_visible()
    page.keyboard.press("Tab")
    for _ in range(8):
        page.locator("#forward").click()
    visit.shot("edit")
    page.locator("#grid").click()
    page.locator("#mask").click()
    visit.shot("masks", "#stage")
    page.fill("#prompt", "Hello")
    page.locator("#plan").click()
    page.locator("#refused").wait_for()
    assert len(page.locator("#refused").inner_text()) > 20
    assert [item["phrase"] for item in visit.layout()] == ["balloon", "house"]
    page.locator("#problems").wait_for()
    assert "balloon" in page.locator("#problems").inner_text()
    assert visit.refusals == 1


# ---- drawing ----


def test_what_the_model_cannot_do_is_marked_while_drawing(visit: Visit) -> None:
    page = visit.page
    page.fill("#prompt", "A balloon and a zeppelin in the evening")
    visit.draw((0.1, 0.1), (0.4, 0.5))
    visit.scrub(8)
    page.locator('[data-field="width"]').fill("3")
    page.keyboard.press("Enter")
    page.locator("#problems li", has_text="token").wait_for()
    assert page.locator(".box.wrong").count() == 1
    page.locator("#undo").click()
    page.locator("#problems").wait_for(state="hidden")
    page.keyboard.press("Escape")
    visit.draw((0.5, 0.5), (0.9, 0.9))
    page.locator("#problems li", has_text="no name").wait_for()
    page.locator("#generate").click()  # the page says it before the server does
    assert "no name" in page.locator("#message").inner_text()
    visit.word("zeppelin").click()
    page.locator("#problems li", has_text="zeppelin").wait_for()
    assert page.locator(".box.wrong").get_attribute("aria-label").startswith("zeppelin")
    page.locator("#problems button").first.click()
    assert page.locator(".object.open .text").inner_text() == "zeppelin"


def test_handles_undo_snap_and_the_timeline(visit: Visit) -> None:
    page = visit.page
    page.fill("#prompt", PROMPT)
    page.locator("#snap").click()
    visit.draw((0.2, 0.2), (0.5, 0.6))  # no word is selected: it takes the first noun that has no box
    assert visit.layout()[0]["phrase"] == "balloon"
    pulls = (("se", (0.7, 0.8), "x1", 0.7), ("n", (0.4, 0.1), "y0", 0.1), ("w", (0.3, 0.5), "x0", 0.3))
    for handle, to, side, value in pulls:
        area = page.locator(f'[data-handle="{handle}"] .knob').bounding_box()
        visit.drag((area["x"] + area["width"] / 2, area["y"] + area["height"] / 2), visit.point(*to))
        assert visit.layout()[0]["key_frames"][0]["box"][side] == pytest.approx(value, abs=0.01)
    page.keyboard.press("Control+z")
    assert visit.layout()[0]["key_frames"][0]["box"]["x0"] == pytest.approx(0.2, abs=0.01)
    page.keyboard.press("Control+Shift+z")
    assert visit.layout()[0]["key_frames"][0]["box"]["x0"] == pytest.approx(0.3, abs=0.01)

    page.locator("#snap").click()
    visit.draw((0.5, 0.45), (0.536, 0.45))  # the left edge comes close to a third, where a token begins
    assert visit.layout()[0]["key_frames"][0]["box"]["x0"] == pytest.approx(1 / 3, abs=1e-4)

    track = ".lane .track"
    page.mouse.dblclick(*visit.point(0.5, 0.5, track))
    assert [key["time"] for key in visit.layout()[0]["key_frames"]] == [0.0, 0.5]
    visit.drag(visit.point(0.5, 0.5, track), visit.point(0.75, 0.5, track))
    assert [key["time"] for key in visit.layout()[0]["key_frames"]] == [0.0, 0.75]
    end = page.locator('.end[data-end="1"]').bounding_box()
    visit.drag((end["x"] + 4, end["y"] + 5), visit.point(0.875, 0.2, track))
    assert visit.layout()[0]["visible"] == [0.0, 0.875]
    page.mouse.dblclick(*visit.point(0.75, 0.5, track))
    assert [key["time"] for key in visit.layout()[0]["key_frames"]] == [0.0]

    page.locator("#duplicate").click()
    copies = visit.layout()
    assert [item["phrase"] for item in copies] == ["balloon", "balloon"] and copies[0]["id"] != copies[1]["id"]
    visit.drag(visit.point(0.5, 0.5, '#words [data-word="0"]'), visit.point(0.5, 0.5, '#words [data-word="1"]'))
    assert [item["phrase"] for item in visit.layout()] == ["balloon", "A balloon"]
    page.locator("#play").click()
    visit.until("Number(document.getElementById('seek').value) > 2")
    page.locator("#play").click()


def test_keys_alone_are_enough(visit: Visit) -> None:
    page = visit.page
    page.locator("#prompt").focus()
    page.keyboard.type(PROMPT)
    page.locator("#add").focus()
    page.keyboard.press("Enter")
    (made,) = visit.layout()
    page.locator(".boxes .box").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowRight"):
        page.keyboard.press(key)
    old, new = (item["key_frames"][0]["box"] for item in (made, visit.layout()[0]))
    assert new["x0"] == pytest.approx(old["x0"] + 0.04) and new["y0"] == pytest.approx(old["y0"] + 0.02)
    assert new["x1"] - new["x0"] == pytest.approx(old["x1"] - old["x0"] + 0.02)
    page.locator("#back").focus()
    page.keyboard.press("End")
    page.keyboard.press("k")
    assert [key["time"] for key in visit.layout()[0]["key_frames"]] == [0.0, 1.0]
    page.locator('[data-field="x"]').fill("60")
    page.keyboard.press("Enter")
    assert visit.layout()[0]["key_frames"][1]["box"]["x0"] == pytest.approx(0.6)
    page.locator(".lane .key").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    assert visit.layout()[0]["key_frames"][1]["time"] == pytest.approx(15 / 16)
    page.locator('.end[data-end="0"]').focus()
    page.keyboard.press("ArrowRight")
    assert visit.layout()[0]["visible"][0] == pytest.approx(1 / 16)
    visit.word("dog").focus()
    page.keyboard.press("Enter")
    assert visit.layout()[0]["phrase"] == "dog"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Enter")
    assert visit.layout()[0]["phrase"] == "a dog"
    page.locator("#undo").focus()
    for key in ("Control+z", "Control+z", "Delete"):
        page.keyboard.press(key)
    assert visit.layout() == []
    page.keyboard.press("?")
    page.locator("#help").wait_for()
    page.keyboard.press("Escape")
    page.locator("#help").wait_for(state="hidden")


def test_touch_draws_and_moves(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page, client = visit.page, visit.context.new_cdp_session(visit.page)

    def swipe(start: tuple[float, float], end: tuple[float, float]) -> None:
        page.locator("#stage").scroll_into_view_if_needed()
        (x, y), (to_x, to_y) = visit.point(*start), visit.point(*end)
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in (0.5, 1.0):
            point = {"x": x + step * (to_x - x), "y": y + step * (to_y - y)}
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    page.fill("#prompt", PROMPT)
    swipe((0.2, 0.2), (0.5, 0.6))
    swipe((0.35, 0.4), (0.6, 0.4))
    (item,) = visit.layout()
    assert item["key_frames"][0]["box"]["x0"] == pytest.approx(0.45, abs=0.05)
    visit.context.close()
    assert visit.troubles == []
