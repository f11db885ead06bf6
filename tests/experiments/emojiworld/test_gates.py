"""Gates: what is measured of which scene, with interval and target; the card of an exported model."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from experiments.emojiworld.export import write_card
from experiments.emojiworld.gates import TARGETS, detect_videos, measure, scene_scores, summary, with_targets
from tests.emojiworld.conftest import render
from tests.emojiworld.truth import true_detections
from ttom.checkpoints.card import read_card
from ttom.emojiworld.detector import load_detector
from ttom.emojiworld.editions import FIRST, SECOND
from ttom.emojiworld.sampling import sample_scene
from ttom.statistics import share


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("group", {"presence", "group_direction", "all_facts"}),
        ("three", {"presence", "three_present", "all_facts"}),
        ("relation", {"presence", "relation", "all_facts"}),
        ("turn", {"presence", "turn", "all_facts"}),
        ("passage", {"presence", "direction", "passage", "all_facts"}),
    ],
)
def test_measures_of_a_kind_all_hold_in_a_perfect_video(kind: str, names: set[str]) -> None:
    for seed in range(20):
        scene = sample_scene(random.Random(seed), "train", kind, SECOND)
        found = list(scene_scores(scene, true_detections(scene)))
        assert {name for name, _ in found} - {"color", "size"} == names
        assert all(holds for _, holds in found)


def test_counts_above_six_have_no_target() -> None:
    scenes = [sample_scene(random.Random(seed), "train", "count", SECOND) for seed in range(60)]
    for scene in scenes:
        names = {name for name, _ in scene_scores(scene, true_detections(scene))}
        assert ("count_to_6" in names) == (scene.facts.counts[0][1] <= 6) and "count" in names


def test_the_embedded_detector_is_measured_on_edition_1() -> None:
    """With n and interval, and the judge without learning beside it."""
    measured = measure(lambda scenes, _: render(scenes).video, load_detector(), FIRST, per_kind=3, seed=5, batch=4)
    assert measured["presence"]["mean"] == 1 and measured["presence"]["interval"][0] > 0.8
    assert measured["presence/motion"]["n"] == 3 and measured["blobs_number"]["n"] >= 1
    assert with_targets("base", measured, FIRST) == measured


def test_verdicts_on_one_video_are_no_more_evidence_than_one() -> None:
    scenes = [True] * 12 + [False] * 8
    alone = summary(list(zip(scenes, range(20), strict=True)))
    copied = summary([(holds, number) for number, holds in enumerate(scenes) for _ in range(5)])
    assert (copied["mean"], copied["n"]) == (0.6, 100) and copied["interval"] == alone["interval"]
    sure = summary([(True, number) for number in range(20) for _ in range(5)])
    assert sure["interval"] == share(20, 20).as_json()["interval"]


def test_targets_come_first_and_say_whether_they_are_met() -> None:
    cell = {"mean": 0.96, "interval": [0.9, 0.99], "n": 50}
    judged = with_targets("base", {"turn": cell, "direction": cell, "presence": cell}, SECOND)
    assert list(judged) == ["presence", "direction", "turn"]
    assert judged["direction"] == {**cell, "target": TARGETS["base"]["direction"], "met": True}
    assert judged["presence"]["met"] is False and judged["turn"] == cell


def test_videos_keep_their_frames_apart() -> None:
    videos = torch.zeros(3, 3, 5, 64, 96)
    assert [len(frames) for frames in detect_videos(load_detector(), videos)] == [5, 5, 5]


def test_the_card_names_the_nouns_of_the_edition(tmp_path: Path) -> None:
    write_card(tmp_path, "cogvideox")
    card = read_card(str(tmp_path))
    assert card is not None and card.preset == "emojiworld-cogvideox" and (card.frames, card.height) == (17, 64)
    assert len(card.nouns) == 90 and "sun" in card.nouns
