"""The check against scenes whose truth is known: true detections follow their layout, changed ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.emojiworld.conftest import render
from tests.emojiworld.truth import true_detections
from ttom.check.compare import check_video
from ttom.check.finders import Found, find_emoji
from ttom.check.report import CheckReport
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.prompts import ALL_KINDS, ScenePrompt, scene_prompts
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject

Frames = list[list[Found]]
VIDEO = np.zeros((17, 8, 8, 3), np.uint8)
MOVING = ("motion", "right_angles", "three_movers", "there_and_back", "two_movers", "turn", "zigzag")


def truth(prompt: ScenePrompt) -> Frames:
    return [[Found(NOUNS[one.noun].name, one.box) for one in frame] for frame in true_detections(prompt.scene)]


def check(layout: Layout, frames: Frames) -> CheckReport:
    return check_video(layout, VIDEO, ("truth", lambda *_: frames), seed=7)


def shifted(frames: Frames, noun: str, dx: float) -> Frames:
    def move(one: Found) -> Found:
        x0, y0, x1, y1 = one.box
        return Found(one.noun, (x0 + dx, y0, x1 + dx, y1)) if one.noun == noun else one

    return [[move(one) for one in frame] for frame in frames]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_true_video_follows_its_layout(kind: str) -> None:
    for prompt in scene_prompts("tune", 6, (kind,)):
        report = check(prompt.layout, truth(prompt))
        assert report.following == len(report.objects) and not report.extra, (prompt.text, str(report))
        assert report.iou > 0.9 and report.detector == "truth" and report.seed == 7


@pytest.mark.parametrize("kind", [kind for kind in ALL_KINDS if kind in MOVING])
def test_a_video_played_backward_does_not(kind: str) -> None:
    for prompt in scene_prompts("tune", 6, (kind,)):
        movers = sum(bool(subject.path) * subject.count for subject in prompt.facts.subjects)
        report = check(prompt.layout, truth(prompt)[::-1])
        symmetric = kind in ("there_and_back", "turn")  # some of these paths are the same backward
        wrong = [item for item in report.objects if item.problem == "direction"]
        assert symmetric or len(wrong) == movers, (prompt.text, str(report))
        assert kind == "zigzag" or all(item.moved != item.planned for item in wrong)


def test_a_frozen_video_stands_still() -> None:
    for prompt in scene_prompts("tune", 6, ("three_movers",)):
        frames = truth(prompt)
        report = check(prompt.layout, [frames[8]] * 17)
        assert [item.problem for item in report.objects] == ["still"] * 3
        assert "stand" in str(report) and str(report).startswith("none of 3 objects follow the plan: ")


def test_missing_extra_elsewhere_and_wandering_objects() -> None:
    prompt = scene_prompts("tune", 1, ("relation",))[0]
    frames, layout = truth(prompt), prompt.layout
    first, second = (item.noun for item in layout.objects)
    gone = [[one for one in frame if one.noun != first] for frame in frames]
    report = check(layout, gone)
    assert [item.problem for item in report.objects] == ["missing", None]
    assert (report.objects[0].seen, report.objects[0].iou) == (0, 0)
    assert str(report) == f"1 of 2 objects follows the plan: the {first} is missing"
    twice = [[*frame, *(one for one in frame if one.noun == second)] for frame in frames]
    report = check(layout, twice)
    assert report.extra == {second: 1} and report.following == 2 and report.score[0] == 1
    assert str(report) == f"all 2 objects follow the plan, but there is one {second} too many"
    report = check(layout, shifted(frames, first, 0.5))
    assert report.objects[0].problem == "elsewhere" and f"the {first} is elsewhere" in str(report)
    drifting = [shifted([frame], first, 0.03 * i)[0] for i, frame in enumerate(frames)]
    report = check(layout, drifting)
    assert report.objects[0].problem == "moves" and f"the {first} moves right" in str(report)


def test_an_object_that_is_seen_in_less_than_half_of_its_frames_is_missing() -> None:
    prompt = scene_prompts("tune", 1, ("motion",))[0]
    frames = truth(prompt)
    noun = prompt.layout.objects[0].noun
    for keep, problem in ((7, "missing"), (12, None)):
        some = [[one for one in frame if one.noun != noun or i >= 17 - keep] for i, frame in enumerate(frames)]
        item = next(item for item in check(prompt.layout, some).objects if item.noun == noun)
        assert (item.problem == "missing") == (problem == "missing") and item.seen == pytest.approx(keep / 17, abs=1e-3)


def still(name: str, phrase: str, x: float) -> LayoutObject:
    box = Box(x0=x, y0=0.4, x1=x + 0.15, y1=0.6)
    frame = KeyFrame(time=0.0, box=box)
    return LayoutObject(id=name, phrase=phrase, noun="dog", key_frames=(frame,))


def dogs(*xs: float) -> Any:
    return [[Found("dog", (x, 0.4, x + 0.15, 0.6)) for x in xs]] * 17


def test_several_of_a_noun_are_matched_one_to_one() -> None:
    layout = Layout(prompt="three dogs", objects=tuple(still(str(i), "dogs", 0.1 + 0.3 * i) for i in range(3)))
    assert str(check(layout, dogs(0.7, 0.1, 0.4))) == "all 3 objects follow the plan"
    report = check(layout, dogs(0.1))
    assert [item.problem for item in report.objects] == [None, "missing", "missing"]
    assert str(report) == "1 of 3 objects follows the plan: 2 dogs are missing"
    assert str(check(layout, dogs(0.1, 0.4))) == "2 of 3 objects follow the plan: one dog is missing"
    report = check(layout, dogs(0.1, 0.4, 0.7, 0.8, 0.85))
    assert str(report) == "all 3 objects follow the plan, but there are 2 dogs too many"
    assert report.score < check(layout, dogs(0.1, 0.4, 0.7)).score


def test_one_object() -> None:
    layout = Layout(prompt="a dog", objects=(still("a", "dog", 0.4),))
    assert str(check(layout, dogs(0.4))) == "the dog follows the plan"
    assert str(check(layout, dogs())) == "the plan is not followed: the dog is missing"


def test_on_rendered_videos_the_detector_agrees() -> None:
    """Nouns of edition 1, which the detector knows, in kinds that it was not chosen for."""
    prompts = [p for p in scene_prompts("tune", 4, ("motion", "relation", "count")) if max(p.facts.nouns) < 66]
    video = render([prompt.scene for prompt in prompts]).video
    pixels = ((video.permute(0, 2, 3, 4, 1).numpy() + 1) * 127.5).round().astype(np.uint8)
    reports = [
        check_video(prompt.layout, one, ("emojiworld", find_emoji), 0)
        for prompt, one in zip(prompts, pixels, strict=True)
    ]
    following = sum(report.following for report in reports)
    assert following >= 0.9 * sum(len(report.objects) for report in reports), [str(report) for report in reports]
