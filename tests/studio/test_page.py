"""The studio in a real browser, as a user meets it: the server is a process of its own, the model the embedded one.

With ``TTOM_SCREENSHOTS=docs/images`` the pictures of the documentation are made on the way.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from ttom.layout.model import Layout, load_layout

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("starlette", reason="the extra `studio` is not installed")
axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium at /usr/bin/chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
ROOT = Path(__file__).parents[2]
FRAMES = 17
PROMPT = "A balloon and a dog"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`ttom studio` on a free port."""
    folder = tmp_path_factory.mktemp("studio")
    command = [sys.executable, "-m", "ttom", "studio", "--port", "0", "--out", str(folder / "runs")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--memory.path", str(folder / "memory")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "http://" in line:
                break
        else:
            raise AssertionError("".join(lines))
        threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the server
        yield "http://" + lines[-1].split("http://")[1].split()[0]
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A browser's window on the studio. It must leave no error in the console and ask no other host for anything."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.address, self.page, self.troubles = address, self.context.new_page(), []
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
        """Wait for it; the page's own policy forbids what Playwright's function for this does."""
        for _ in range(200):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never came true: {condition}")

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


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    visit = Visit(browser, address)
    yield visit
    visit.context.close()
    assert visit.troubles == []


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


def test_drawn_boxes_are_generated_kept_exported_and_imported(visit: Visit, address: str, tmp_path: Path) -> None:
    page = visit.page
    draw_two(visit)
    balloon, dog = visit.layout()
    assert (balloon["phrase"], balloon["noun"], dog["phrase"]) == ("balloon", "balloon", "dog")
    assert [key["time"] for key in balloon["key_frames"]] == [0.0, 1.0]
    first, last = (key["box"] for key in balloon["key_frames"])
    # The grid has 12 x 8 tokens and edges snap to it: 2% are less than the reach of 7 pixels, so some lines are met.
    assert first["x0"] == pytest.approx(0.64, abs=0.03) and first["y1"] == pytest.approx(0.48, abs=0.03)
    assert last["x0"] == pytest.approx(0.08, abs=0.03) and last["x1"] - last["x0"] == pytest.approx(0.28, abs=0.03)
    assert len(dog["key_frames"]) == 1
    page.wait_for_timeout(500)
    assert page.locator("#problems").is_hidden()

    choose(page, "bias", sampler__steps=6)
    id_ = generate(page)
    report = api(address, f"/api/runs/{id_}/files/report.json")
    checked = report["check"]["objects"]
    assert [item["problem"] for item in checked] == [None, None], checked
    assert checked[0]["moved"] == ["left"] and all(item["iou"] > 0.3 for item in checked)
    assert "follow" in page.locator("#run-check").inner_text()
    visit.until("document.getElementById('expected').textContent.startsWith('About ')")
    check_player(visit)
    page.locator("#video").click()
    visit.scrub(8)
    visit.until("document.getElementById('behind').readyState >= 2 && !document.getElementById('behind').seeking")
    assert page.evaluate("Math.floor(document.getElementById('behind').currentTime * 8)") == 8
    visit.shot("window")
    check_attention(visit)

    before = visit.layout()
    visit.open()
    assert visit.layout() == before
    assert page.locator("#prompt").input_value() == PROMPT
    page.locator(f'#history-list [data-key="{id_}"]').wait_for()
    page.locator(".screen video").nth(1).wait_for()

    with page.expect_download() as download:
        page.locator("#export").click()
    file = tmp_path / "layout.json"
    download.value.save_as(file)
    exported = load_layout(file)
    assert [item.model_dump(mode="json") for item in exported.objects] == before
    while page.locator(".object").count():
        page.locator('.object [title="Delete"]').first.click()
        page.wait_for_timeout(50)
    page.locator("#import-file").set_input_files(file)
    page.locator(".object").nth(1).wait_for()
    assert visit.layout() == before
    drop(page, "dropped.json", file.read_text().replace("dog", "cat"))
    page.locator(".object", has_text="cat").wait_for()
    page.keyboard.press("Control+z")
    page.locator(".object", has_text="dog").wait_for()
    assert visit.layout() == before
    assert visit.refusals == 0


@pytest.mark.parametrize("format_", ["ati", "kjnodes", "comfyui", "vace"])
def test_what_other_tools_get_can_come_back(visit: Visit, tmp_path: Path, format_: str) -> None:
    page = visit.page
    page.fill("#prompt", "A balloon moves from left to right above a house")
    page.locator("#plan").click()
    page.locator(".boxes .box").nth(1).wait_for()
    before = visit.layout()
    page.locator("#export-format").select_option(format_)
    with page.expect_download() as download:
        page.locator("#export").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    while page.locator(".object").count():
        page.locator('.object [title="Delete"]').first.click()
        page.wait_for_timeout(50)
    page.locator("#import-file").set_input_files(file)
    page.locator("#message").wait_for()
    if format_ == "vace":  # a video of boxes has no names: it goes out only
        assert file.suffix == ".mp4" and file.read_bytes()[4:8] == b"ftyp"
        assert "is a video" in page.locator("#message").inner_text() and visit.refusals == 1
        return
    after = visit.layout()
    assert [item["phrase"] for item in after] == ["balloon", "house"] and visit.refusals == 0
    for old, new in zip(before, after, strict=True):
        for at in (0, -1):
            a, b = (item["key_frames"][at]["box"] for item in (old, new))
            assert [b[side] for side in a] == pytest.approx(list(a.values()), abs=0.02)


def test_expected_seconds_come_from_the_runs_before(visit: Visit) -> None:
    def expected(order: dict[str, Any], steps: int | None, *runs: dict[str, Any]) -> float | None:
        found: float | None = visit.page.evaluate(
            """async ([runs, order, steps]) =>
              (await import("/static/expected.js")).expectedSeconds(runs, order, steps)""",
            [list(runs), order, steps],
        )
        return found

    order = {"method": "bias", "preset": None, "settings": {}, "compare": False}
    done = {**order, "state": "done", "seconds": 10, "steps": 20}
    other = {**done, "settings": {"sampler.steps": 5}, "seconds": 3, "steps": 5}
    plain = {**done, "method": "base", "seconds": 4}
    assert expected(order, 20) is None
    assert expected(order, 20, {**done, "state": "cancelled"}, {**done, "method": "lvd"}) is None
    assert expected(order, 20, other, done) == 10
    assert expected(order, 20, other) == 12
    assert expected(order, None, other) is None
    compared = {**order, "compare": True}
    assert expected(compared, 20, done) is None
    assert expected(compared, 20, done, plain) == 14
    assert expected(compared, 40, {**done, "compare": True, "steps": 40, "settings": {"bias.end": 0.5}}) == 20


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


def check_player(visit: Visit) -> None:
    """Both videos play in step, and the boxes over them follow the plan."""
    page, videos = visit.page, "[...document.querySelectorAll('.screen video')]"
    visit.until(f"{videos}.length === 2 && {videos}.every((video) => video.readyState >= 3)")
    slider = page.get_by_label("Frame of the result")
    slider.fill("8")
    visit.until(f"{videos}.every((video) => !video.seeking && Math.floor(video.currentTime * 8) === 8)")
    planned = Layout.model_validate({"prompt": PROMPT, "objects": visit.layout()}).objects[0].box_at(0.5)
    assert planned is not None
    lefts = page.locator(".screen rect").evaluate_all("(all) => all.map((each) => Number(each.getAttribute('x')))")
    assert len(lefts) == 4 and lefts[0] == lefts[2] == pytest.approx(planned.x0 * 96, abs=0.01)
    visit.shot("result", "#run")
    page.locator(".player").get_by_role("button", name="Boxes").click()
    assert page.locator(".screen rect").count() == 0
    page.locator(".player").get_by_role("button", name="Play").click()
    visit.until(f"{videos}.every((video) => !video.paused && video.currentTime > 1.3)")
    times = page.evaluate(f"{videos}.map((video) => video.currentTime)")
    assert abs(times[0] - times[1]) < 1 / 8
    page.locator(".player").get_by_role("button", name="Pause").click()


def check_attention(visit: Visit) -> None:
    """In the block and the frame that are chosen, the dog's words are looked up where the dog is planned."""
    page = visit.page
    page.locator("#result summary").click()
    page.locator(".attention select").first.select_option(label="dog")
    page.get_by_label("Frame of the result").fill("8")
    visit.until("!document.querySelector('.heat').hidden && document.querySelector('.heat').width === 12")
    visit.shot("attention", "#run .player")
    inside, outside = page.evaluate(
        """() => {
          const heat = document.querySelector(".heat"), { width, height } = heat;
          const { data } = heat.getContext("2d").getImageData(0, 0, width, height);
          const sums = [0, 0], counts = [0, 0];
          for (let cell = 0; cell < width * height; cell += 1) {
            const x = ((cell % width) + 0.5) / width, y = (Math.floor(cell / width) + 0.5) / height;
            const out = x > 0.36 && x < 0.64 && y > 0.52 && y < 0.94 ? 0 : 1;
            sums[out] += data[4 * cell + 3];
            counts[out] += 1;
          }
          return sums.map((sum, at) => sum / counts[at]);
        }"""
    )
    assert inside > 2 * outside
    page.locator("#result summary").click()
    visit.until("document.querySelector('.heat').hidden")


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


# ---- runs ----


def test_cancel_ends_a_run_in_the_middle_and_others_wait(visit: Visit) -> None:
    page = visit.page
    draw_two(visit)
    choose(page, "ttom", sampler__steps=25)
    first = generate(page, "running")
    second = generate(page, "queued")
    assert "number 1" in page.locator("#run-state").inner_text()
    page.locator("#run-cancel").click()
    page.locator("#run-state.cancelled").wait_for()
    visit.open()  # a reload in the middle of the first run
    page.locator(f'#history-list [data-key="{second}"] .badge.cancelled').wait_for()
    page.locator(f'#history-list [data-key="{first}"] .entry-open').click()
    page.locator("#losses").wait_for(timeout=60_000)
    page.locator("#run-cancel").click()
    page.locator("#run-state.cancelled").wait_for(timeout=15_000)
    assert page.locator("#progress").is_hidden()
    page.locator("#history-list .entry-end").first.click()
    page.locator("#confirm").get_by_role("button", name="Keep").click()
    count = page.locator("#history-list .entry").count()
    page.locator("#history-list .entry-end").first.click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    visit.until(f"document.querySelectorAll('#history-list .entry').length === {count - 1}")


def test_the_memory_is_shown_asked_and_emptied(visit: Visit) -> None:
    page = visit.page
    draw_two(visit)
    choose(page, "ttom", sampler__steps=2, tto__guided_steps=1, tto__iterations=1)
    page.locator("#compare").uncheck()
    generate(page)
    page.locator("#memory-entries tbody tr").wait_for()
    page.locator("#memory-lookup").click()
    page.locator("#memory-hits tr.accepted").wait_for()
    visit.shot("memory", "#memory")
    page.locator("#memory-entries button").first.click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    page.locator("#memory-entries tbody tr").wait_for(state="detached")
    assert "empty" in page.locator("#memory-entries").inner_text()
    with page.expect_download() as download:
        page.locator("#result").get_by_role("button", name="LoRA").click()
    assert download.value.suggested_filename.endswith(".zip")
    assert "every step" in page.locator("#result").inner_text()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("layout.json", b'{"version": 1, "prompt": "a dog", "objects": [{"id": "<b>"}]}'),
        ("broken.json", b"{"),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("empty.json", b""),
    ],
)
def test_wrong_files_are_refused_with_a_reason(visit: Visit, name: str, content: bytes) -> None:
    page = visit.page
    page.fill("#prompt", PROMPT)
    visit.draw((0.2, 0.2), (0.5, 0.6))
    before = visit.layout()
    page.locator("#import-file").set_input_files({"name": name, "mimeType": "application/json", "buffer": content})
    page.locator("#message").wait_for()
    assert page.locator("#message strong").inner_text().startswith(f"“{name}”")
    assert visit.layout() == before and visit.refusals == 1
    page.locator("#message-close").click()
    visit.draw((0.6, 0.5), (0.9, 0.9))
    assert len(visit.layout()) == 2


# ---- how it looks ----


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, address: str, scheme: str) -> None:
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
    from urllib.error import HTTPError

    request = Request(address + "api/plan", b'{"prompt": "a dog"}', {"Origin": "http://evil.example"})
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=20)
    assert refused.value.code == 403
