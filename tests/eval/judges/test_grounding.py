"""GroundingDINO, SAM 2 and Depth-Anything as judges, with tiny random weights of the official classes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GroundingDinoProcessor

from eval.judges.depth import DepthJudge
from eval.judges.grounding import GroundingJudge, weights_name
from eval.judges.protocol import Video
from eval.metrics import detections
from eval.metrics.arrays import decode
from eval.types import Question
from tests.probes.tiny_grounding import save_detector, save_tracker
from tests.vision.tiny_depth import save_depth
from ttom.video import write_video

HEIGHT, WIDTH = 32, 48


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> GroundingJudge:
    place = tmp_path_factory.mktemp("models")
    return GroundingJudge(str(save_detector(place / "detector")), str(save_tracker(place / "tracker")))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    write_video(noise, path, 8)
    return Video(path, hashlib.sha256(path.read_bytes()).hexdigest(), 5)


def test_boxes_and_phrases_equal_those_of_transformers_own_processor(judge: GroundingJudge, video: Video) -> None:
    picture, detector = video.pictures[0], judge._detector
    processor = GroundingDinoProcessor(detector.processor, detector.tokenizer)
    inputs = processor(images=picture, text="red balloon.", return_tensors="pt")
    with torch.no_grad():
        output = detector.model(**inputs)
    threshold = float(output.logits.sigmoid().max(-1).values[0].median())
    theirs = processor.post_process_grounded_object_detection(
        output, inputs.input_ids, threshold=threshold, text_threshold=0.4, target_sizes=[(HEIGHT, WIDTH)]
    )[0]
    ours = judge.find(picture, " Red balloon", threshold, 0.4)
    assert 0 < len(ours) < 12
    np.testing.assert_allclose([item["score"] for item in ours], theirs["scores"].numpy(), rtol=1e-5)
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    np.testing.assert_allclose([item["box"] * scale for item in ours], theirs["boxes"].numpy(), atol=1e-3)
    assert [item["phrase"] for item in ours] == theirs["text_labels"]


def test_masks_belong_to_the_boxes(judge: GroundingJudge, video: Video) -> None:
    asked = [detections.question("red balloon", 2, 0.0, kind) for kind in ("detect", "segment")]
    boxes, masked = [detections.parse(reply.value) for reply in judge.answer(video, asked)]
    assert [len(frame) for frame in boxes] == [12, 12]
    assert [[one.box for one in frame] for frame in boxes] == [[one.box for one in frame] for frame in masked]
    masks = [decode(one.mask) for one in masked[0]]
    assert all(mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool for mask in masks)


def test_nothing_found_has_no_masks_and_moves_nothing(
    judge: GroundingJudge, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = detections.question("cat", 2, 1.1, "segment")
    assert next(judge.answer(video, [asked])).value == [[], []]
    monkeypatch.setattr(judge, "find", lambda *arguments: [])
    track = Question(kind="track", text="cat . dog", options={"frames": 3})
    value = next(judge.answer(video, [track])).value
    assert decode(value["visible"]).all()
    tracks = decode(value["tracks"])
    assert np.array_equal(tracks[0], tracks[2])


def test_tracks_follow_masks_and_flicker_is_a_number(judge: GroundingJudge, video: Video) -> None:
    track = Question(kind="track", text="cat", options={"frames": 3})
    flicker = Question(kind="flicker", text="cat", options={"frames": 5, "box_threshold": 1.1, "text_threshold": 0.25})
    answers = [reply.value for reply in judge.answer(video, [track, flicker])]
    assert decode(answers[0]["tracks"]).shape[0] == 3
    assert answers[1] > 20  # noise without boxes


def test_depth_of_the_sampled_frames(tmp_path: Path, video: Video) -> None:
    judge = DepthJudge(str(save_depth(tmp_path)))
    depth = decode(next(judge.answer(video, [Question(kind="depth", options={"frames": 3})])).value)
    assert depth.shape == (3, HEIGHT, WIDTH) and depth.dtype == np.uint8
    assert depth.min(axis=(1, 2)).tolist() == [0, 0, 0] and depth.max(axis=(1, 2)).tolist() == [255] * 3


def test_other_weights_are_another_version(tmp_path: Path) -> None:
    folder = save_detector(tmp_path)
    before = weights_name(str(folder), None)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert weights_name(str(folder), None) != before
