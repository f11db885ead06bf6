"""Tracks of points and boxes from elsewhere, made into layouts of the prompt's objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ttom.errors import UserError
from ttom.layout.drafts import Limits
from ttom.layout.tracks import import_boxes, import_tracks

PROMPT = "A dog runs to the right and a cat sleeps"
SIZE, LIMITS = (832, 480), Limits(0.05, 2.5)


def track(start: tuple[float, float], end: tuple[float, float], points: int = 121) -> list[dict[str, float]]:
    steps = [n / (points - 1) for n in range(points)]
    return [{"x": start[0] + (end[0] - start[0]) * s, "y": start[1] + (end[1] - start[1]) * s} for s in steps]


RIGHT, STILL = track((200, 240), (600, 240)), track((100, 400), (100, 400))


@pytest.mark.parametrize("data", [[RIGHT, STILL], [json.dumps(RIGHT), json.dumps(STILL).replace('"', "'")]])
def test_tracks_go_to_the_prompt_s_objects_in_order(data: Any) -> None:
    found = import_tracks(data, PROMPT, SIZE, LIMITS)
    dog, cat = found.layout.objects
    assert (dog.phrase, cat.phrase) == ("dog", "cat")
    assert len(dog.key_frames) == 2 and len(cat.key_frames) == 1  # a straight line, and a place
    for time, x in ((0.0, 200), (0.5, 400), (1.0, 600)):
        box = dog.box_at(time)
        assert box is not None and box.center == pytest.approx((x / 832, 0.5), abs=0.003)


def test_one_track_alone_leaves_the_other_objects_out() -> None:
    assert [item.phrase for item in import_tracks(RIGHT, PROMPT, SIZE, LIMITS).layout.objects] == ["dog"]


def test_corners_of_a_path_stay() -> None:
    there_and_back = [*track((200, 240), (600, 240), 61), *track((600, 240), (200, 240), 61)[1:]]
    (dog,) = import_tracks([there_and_back], PROMPT, SIZE, LIMITS).layout.objects
    assert len(dog.key_frames) == 3 and dog.key_frames[1].time == pytest.approx(0.5, abs=0.02)


def test_a_track_that_ends_early_has_left_the_picture() -> None:
    (dog, cat) = import_tracks([RIGHT[:61], STILL], PROMPT, SIZE, LIMITS).layout.objects
    assert dog.visible[1] == pytest.approx(0.5, abs=0.03) and cat.visible == (0.0, 1.0)


def test_the_canvas_is_found_out_or_given() -> None:
    wide = [track((100, 500), (1200, 500))]
    found = import_tracks(wide, PROMPT, SIZE, LIMITS)
    assert any("1280 x 720" in note for note in found.notes)
    (dog,) = import_tracks(wide, PROMPT, SIZE, LIMITS, (1400, 1000)).layout.objects
    assert dog.key_frames[0].box.center[1] == pytest.approx(0.5, abs=0.003)


def test_names_in_the_metadata_decide() -> None:
    def box(x: int, name: str) -> dict[str, Any]:
        return {"x": x, "y": 100, "width": 100, "height": 100, "metadata": {"name": name}}

    frames = [[box(600, "cat"), box(n * 10, "dog")] for n in range(49)]
    found = import_boxes(frames, PROMPT, SIZE, LIMITS).layout
    places = {item.phrase: item.key_frames[0].box.x0 for item in found.objects}
    assert places == {"cat": pytest.approx(600 / 832, abs=1e-3), "dog": pytest.approx(0, abs=1e-3)}


@pytest.mark.parametrize(
    "data", [{"x": 10, "y": 20, "width": 100, "height": 50}, [{"x": 10, "y": 20, "width": 100, "height": 50}]]
)
def test_boxes_of_one_picture_stand_still(data: Any) -> None:
    (dog,) = import_boxes(data, PROMPT, SIZE, LIMITS).layout.objects
    assert len(dog.key_frames) == 1
    box = dog.key_frames[0].box
    assert (box.x0, box.y1) == (pytest.approx(10 / 832, abs=1e-4), pytest.approx(70 / 480, abs=1e-4))


@pytest.mark.parametrize(
    "data",
    [
        [RIGHT, STILL, STILL],
        [],
        [[]],
        "x",
        [[{"x": 1}]],
        [[{"x": "1", "y": 2}]],
        [[{"x": float("nan"), "y": 2}]],
        [None],
    ],
)
def test_what_are_no_tracks_of_these_objects_is_refused(data: Any) -> None:
    with pytest.raises(UserError):
        import_tracks(data, PROMPT, SIZE, LIMITS)


def test_a_track_that_jumps_or_lies_outside_is_refused() -> None:
    for points in ([{"x": 0, "y": 0}, {"x": 800, "y": 0}] * 30, track((9000, 240), (9500, 240))):
        with pytest.raises(UserError):
            import_tracks([points], PROMPT, SIZE, LIMITS, SIZE)
