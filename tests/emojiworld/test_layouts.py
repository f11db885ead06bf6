"""The true layout of a scene: its boxes are the renderer's, its phrases the caption's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.emojiworld.conftest import render
from ttom.emojiworld.layouts import LEAST_SHOWN, scene_layout
from ttom.emojiworld.nouns import INDEX
from ttom.emojiworld.prompts import ALL_KINDS, scene_prompts
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH, Scene, Thing
from ttom.layout.model import Layout, check_layout


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_boxes_follow_the_things(kind: str) -> None:
    for prompt in scene_prompts("tune", 8, (kind,)):
        layout = prompt.layout
        check_layout(layout, prompt.text)
        things = sorted(prompt.scene.things, key=lambda thing: thing.subject)
        assert len(layout.objects) == len(things)
        for item, thing in zip(layout.objects, things, strict=True):
            for time in np.linspace(0, 1, FRAMES).tolist():
                box = item.box_at(time)
                assert (box is not None) == (thing.shown_at(time) >= LEAST_SHOWN), (kind, time)
                if box is not None:
                    true = np.array(thing.box_at(time)) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
                    assert np.abs(true.clip(0, 1) - (box.x0, box.y0, box.x1, box.y1)).max() < 1e-4


def test_a_layout_is_a_file_of_the_format_with_a_group_for_each_subject() -> None:
    for prompt in scene_prompts("test", 6, ("color_binding", "group", "two_counts")):
        layout = Layout.model_validate_json(prompt.layout.model_dump_json())
        groups = layout.groups()
        assert len(groups) == len(prompt.facts.subjects), prompt.text
        assert [len(group.objects) for group in groups] == [subject.count for subject in prompt.facts.subjects]


def test_the_layout_covers_the_rendered_thing() -> None:
    thing = Thing(INDEX["ball"], ((-12.0, 32.0), (60.0, 32.0)), 20, moving=(0.1, 0.8), visible=(0.1, 1.0))
    prompt = scene_prompts("tune", 1, ("passage",))[0]
    scene = Scene("passage", [thing], prompt.facts)
    item = scene_layout(scene, prompt.text).objects[0]
    labels = render([scene]).labels[0]
    for frame, time in enumerate(np.linspace(0, 1, FRAMES).tolist()):
        box = item.box_at(time)
        if box is not None:
            x = np.nonzero((labels[frame] >= 0).any(0))[0]
            assert abs(box.x0 * WIDTH - x.min()) < 1.6 and abs(box.x1 * WIDTH - x.max() - 1) < 1.6


def test_a_caption_that_names_too_little_is_refused() -> None:
    prompt = scene_prompts("tune", 1, ("three",))[0]
    with pytest.raises(ValueError, match="does not name"):
        scene_layout(prompt.scene, "A zebra")
