"""Files of other tools in and out, and files that are neither."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from tests.studio.helpers import PROMPT
from ttom.config import PlannerConfig
from ttom.errors import UserError
from ttom.layout.drafts import Limits
from ttom.layout.model import Layout
from ttom.layout.planning import plan_prompt
from ttom.studio.exchange import EXPORTS, Upload, export_layout, import_layout, read_canvas
from ttom.types import VideoSize

LIMITS = Limits(0.05, 2.5)
SIZE = VideoSize(81, 480, 832)
LAYOUT = plan_prompt(PROMPT, SIZE.width / SIZE.height, PlannerConfig()).layout


def taken(data: bytes, **options: object) -> Layout:
    return import_layout(Upload(data, **{"prompt": PROMPT, **options}), SIZE, LIMITS).layout  # type: ignore[arg-type]


def largest_gap(one: Layout, other: Layout) -> float:
    """Between the boxes of two layouts of the same objects, over the video, as a share of the picture."""
    assert [item.phrase for item in one.objects] == [item.phrase for item in other.objects]
    gaps = [0.0]
    for a, b in zip(one.objects, other.objects, strict=True):
        for time in np.linspace(0, 1, 31):
            first, second = a.box_at(float(time)), b.box_at(float(time))
            assert (first is None) == (second is None)
            if first is not None and second is not None:
                gaps += [abs(getattr(first, s) - getattr(second, s)) for s in ("x0", "y0", "x1", "y1")]
    return max(gaps)


@pytest.mark.parametrize("format_", [name for name, (_, file, _) in EXPORTS.items() if file.endswith(".json")])
def test_what_is_exported_can_be_imported_again(format_: str) -> None:
    data, name, kind = export_layout(LAYOUT, format_, SIZE, 16)
    assert name.endswith(".json") and kind == "application/json"
    found = taken(data)
    assert largest_gap(LAYOUT, found) < 0.01
    assert sum(len(item.key_frames) for item in found.objects) <= 6  # straight motions stay straight


def test_a_layout_file_comes_back_exactly() -> None:
    data, _, _ = export_layout(LAYOUT, "layout", SIZE, 16)
    assert taken(data) == LAYOUT.model_copy(update={"source": "file"})


def test_the_control_video_for_vace_is_black_outlines_on_white(tmp_path: Path) -> None:
    data, name, kind = export_layout(LAYOUT, "vace", VideoSize(17, 64, 96), 8)  # too small for VACE: its own size
    assert (name, kind) == ("vace-layout.mp4", "video/mp4")
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 16
    assert len(frames) == 81 and frames[0].shape == (480, 832, 3)
    box = LAYOUT.objects[0].box_at(1.0)
    assert box is not None
    left, top, middle = round(box.x0 * 831), round(box.y0 * 479), round(box.center[1] * 479)
    assert frames[-1][middle, left].max() < 90  # the left edge
    assert frames[-1][top + 20, left + 20].min() > 200  # inside
    assert frames[-1][2, 2].min() > 200  # outside


def test_caches_give_the_layout_of_the_prompt() -> None:
    frames = "\n".join(
        f"Frame {n}: [{{'id': 0, 'name': 'balloon', 'box': [{60 * n}, 20, 100, 100]}}]" for n in range(1, 7)
    )
    other = frames.replace("balloon", "cat")
    cache = json.dumps({PROMPT: [frames], "A cat runs": [other]}).encode()
    assert taken(cache).objects[0].phrase == "balloon"
    assert taken(cache, prompt="a cat  RUNS").objects[0].phrase == "cat"
    with pytest.raises(UserError, match="2 prompts") as error:
        taken(cache, prompt="A dog runs")
    assert "A cat runs" in str(error.value.remedy)
    assert taken(frames.encode(), canvas=(512, 512)).objects[0].phrase == "balloon"


def bomb() -> bytes:
    return gzip.compress(b"[" * 50_000_000)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("layout.json", b"0" * 10_000_000)
    return buffer.getvalue()


class Evil:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("it was unpickled",)


WRONG = {
    "empty": b"",
    "random": np.random.default_rng(0).bytes(100_000),
    "pickle": pickle.dumps(Evil()),
    "pickle-text": pickle.dumps(Evil(), protocol=0),
    "gzip": bomb(),
    "zip": archive(),
    "deep": b"[" * 1_000_000,
    "deep-pairs": b'{"a":' * 100_000,
    "digits": b"1" * 1_000_000,
    "huge-number": b'[{"x": 1e999, "y": NaN}]',
    "utf-16": json.dumps([{"x": 1, "y": 2}]).encode("utf-16"),
    "half-a-character": b'{"\\ud800": "Frame 1: []"}',
    "control": json.dumps({"\x1b[2J": ["Frame 1: []"]}).encode(),
    "points": json.dumps([[{"x": 1, "y": 1}] * 20_000]).encode(),
    "tracks": json.dumps([[{"x": 1, "y": 1}]] * 100).encode(),
    "boxes": json.dumps([{"x": 0, "y": 0, "width": 9, "height": 9}] * 100).encode(),
    "flat-box": json.dumps([{"x": 0, "y": 0, "width": 0, "height": 9}]).encode(),
    "html": b"<script>alert(1)</script>",
    "null": b"null",
    "layout-version": b'{"version": 2, "objects": []}',
    "layout-bare": b'{"version": 1, "objects": [], "prompt": "a"}',
}


@pytest.mark.parametrize("format_", ["auto", "layout", "cache", "answer", "tracks", "boxes"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused_with_words(name: str, format_: str) -> None:
    with pytest.raises(UserError) as error:
        taken(WRONG[name], format=format_)
    assert len(error.value.problem) < 5_000


@pytest.mark.parametrize("format_", ["auto", "tracks"])
def test_pickles_archives_and_videos_are_called_by_their_names(format_: str) -> None:
    """As ATI's .pth files are, old and new; also without a prompt."""
    for name in ("pickle", "zip"):
        with pytest.raises(UserError, match="ATI's .pth files") as error:
            taken(WRONG[name], format=format_, prompt="")
        assert error.value.remedy == "save the tracks as JSON"
    data, _, _ = export_layout(LAYOUT, "vace", SIZE, 16)
    with pytest.raises(UserError, match="a video"):
        taken(data, format=format_)


@pytest.mark.parametrize("data", [b'[{"x": 1, "y": 2}]', b'{"x": 0, "y": 0, "width": 9, "height": 9}', b"Frame 1: []"])
def test_a_file_without_a_prompt_asks_for_one(data: bytes) -> None:
    with pytest.raises(UserError, match="no prompt of its own") as error:
        taken(data, prompt=" ")
    assert error.value.remedy is not None and error.value.remedy.startswith("type the prompt first")


def test_other_formats_and_canvases_are_refused() -> None:
    with pytest.raises(UserError, match="format"):
        taken(b"[]", format="../layout")
    with pytest.raises(UserError, match="format"):
        export_layout(LAYOUT, "exe", SIZE, 8)
    assert read_canvas("") is None and read_canvas(" 832 x 480") == (832, 480)
    for text in ("0x480", "832", "999999x480", "832x480x3", "-1x5"):
        with pytest.raises(UserError, match="canvas"):
            read_canvas(text)
