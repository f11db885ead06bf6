"""EmojiWorld's detector as a judge, on videos that its own renderer draws, with what is in them known."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from eval.judges.emojiworld import EmojiWorldJudge, known, shrink
from eval.judges.protocol import Video, refusal
from eval.metrics import detections
from eval.metrics.arrays import decode
from eval.metrics.compbench import motion
from eval.metrics.picture import influences
from eval.types import Question
from ttom.emojiworld.colors import COLORS
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.video import enlarge, write_video


@pytest.fixture(scope="module")
def judge() -> EmojiWorldJudge:
    return EmojiWorldJudge()


@pytest.fixture(scope="module")
def scene() -> tuple[str, str, np.ndarray]:
    """Noun, direction and frames of a held-out scene with one mover."""
    rng = random.Random(1)
    drawn = sample_scene(rng, "test", "motion")
    paint(rng, drawn)
    frames, _ = Renderer()(pack([drawn]), frame_times())
    pictures = ((frames[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 3, 0)
    return NOUNS[drawn.things[0].noun].name, drawn.facts.directions[0][1], pictures.numpy()


def stored(pictures: np.ndarray, path: Path) -> Video:
    write_video(pictures, path, 8)
    return Video(path, hashlib.sha256(path.read_bytes()).hexdigest(), len(pictures))


@pytest.fixture(scope="module")
def video(scene: tuple[str, str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Video:
    return stored(enlarge(scene[2]), tmp_path_factory.mktemp("video") / "a.mp4")


def test_enlarged_videos_are_shrunk_to_the_models_own_pixels(scene: tuple[str, str, np.ndarray]) -> None:
    own = scene[2]
    assert own.shape == (17, 64, 96, 3)
    shrunk = shrink(enlarge(own))
    assert shrunk is not None and np.array_equal(shrunk, own)
    assert np.array_equal(shrink(own), own)  # type: ignore[arg-type]
    for size in ((480, 832), (64, 100), (32, 48), (128, 96)):
        assert shrink(np.zeros((2, *size, 3), np.uint8)) is None


@pytest.mark.parametrize(
    ("name", "noun"),
    [("cat", "cat"), ("cats", "cat"), ("Red Balloons", "balloon"), ("hot air balloon", "balloon"),
     ("soccer ball", "soccer ball"), ("mice", "mouse"), ("dragon", None), ("catfish", None)],
)  # fmt: skip
def test_nouns_are_known_in_any_number_and_with_words_before(name: str, noun: str | None) -> None:
    assert known(name) == (None if noun is None else INDEX[noun])


def test_boxes_masks_tracks_and_flicker_of_a_scene(
    judge: EmojiWorldJudge, video: Video, scene: tuple[str, str, np.ndarray]
) -> None:
    noun, direction, _ = scene
    asked = [
        detections.question(noun, 17, 0.35),
        detections.question(noun, 1, 0.3, "segment"),
        Question(kind="track", text=noun, options={"frames": 16}),
        Question(kind="flicker", text=noun, options={"frames": 17}),
    ]
    boxes, masks, track, flicker = [reply.value for reply in judge.answer(video, asked)]
    found = detections.parse(boxes)
    assert len(found) == 17 and sum(len(frame) == 1 for frame in found) >= 15
    assert found[0][0].phrase == noun
    (first,) = detections.parse(masks)[0]
    mask = decode(first.mask)
    x0, y0, x1, y1 = first.box
    assert mask.shape == (64, 96) and 0.2 < mask.mean() / ((x1 - x0) * (y1 - y0)) < 1.2
    tracks, visible = decode(track["tracks"]), decode(track["visible"])
    assert tracks.shape == (16, 1350, 2) and visible.shape == (16, 1350)
    columns, rows = (tracks[0] * (96, 64)).astype(int).T
    moved = motion.displacement(tracks, visible, mask[rows, columns])
    assert motion.object_score(direction, moved, (0.0, 0.0)) > 0.2
    assert 0 <= flicker < 3


def test_what_it_does_not_know_is_refused(judge: EmojiWorldJudge, video: Video, tmp_path: Path) -> None:
    asked = [detections.question(text, 16, 0.35) for text in ("dragon", "cat . dragon")]
    (newer,) = judge.answer(video, [detections.question("banana", 16, 0.35)])
    assert refusal(newer.value) == "not a noun of EmojiWorld: banana", "the embedded detector is of edition 1"
    for reply in judge.answer(video, asked):
        assert refusal(reply.value) == "not a noun of EmojiWorld: dragon"
    other = stored(np.zeros((2, 480, 832, 3), np.uint8), tmp_path / "b.mp4")
    (reply,) = judge.answer(other, asked[:1])
    assert refusal(reply.value) == "not a video of EmojiWorld"


def test_the_phrase_is_the_one_that_was_asked_for(
    judge: EmojiWorldJudge, video: Video, scene: tuple[str, str, np.ndarray]
) -> None:
    """T2V-CompBench counts a box only with the object's own words."""
    phrase = f"red {scene[0]}"
    (reply,) = judge.answer(video, [detections.question(phrase, 1, 0.35)])
    assert [[item["phrase"] for item in frame] for frame in reply.value] == [[phrase]]


def test_all_objects_of_a_scene_and_what_its_pictures_look_like(
    judge: EmojiWorldJudge, video: Video, scene: tuple[str, str, np.ndarray]
) -> None:
    asked = [Question(kind=kind, options={"frames": 5}) for kind in ("scene", "picture")]
    objects, moments = [reply.value for reply in judge.answer(video, asked)]
    assert len(objects) == 5 and {item["noun"] for frame in objects for item in frame} == {scene[0]}
    assert all(item["color"] in COLORS for frame in objects for item in frame)
    assert np.isfinite(influences([decode(moments)])).all()
