"""GroundingDINO and SAM 2 of transformers, end to end with tiny random models of the official weights' classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GroundingDinoProcessor, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from probes import boxes
from probes.boxes import Found
from probes.grounding import GroundedSegmenter
from tests.probes.tiny_grounding import SIDE, save_detector, save_tracker
from ttom import UserError
from ttom.layout.model import ObjectGroup
from ttom.layout.rules.planner import plan

PHRASES = ["red balloon", "blue house"]


FRAMES, HEIGHT, WIDTH = 7, 32, 48


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    place = tmp_path_factory.mktemp("grounding")
    return str(save_detector(place / "detector")), str(save_tracker(place / "tracker"))


@pytest.fixture(scope="module")
def segmenter(folders: tuple[str, str]) -> GroundedSegmenter:
    return GroundedSegmenter(*folders)


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def groups() -> list[ObjectGroup]:
    return plan("A red balloon moves left above a blue house", aspect=1.5, seed=0).groups()


def test_boxes_equal_those_of_transformers_own_processor(
    segmenter: GroundedSegmenter, video: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "SCORE", 0.4)
    found = segmenter.detect(video[0], ["red balloon"])
    processor = GroundingDinoProcessor(segmenter._detector.processor, segmenter._detector.tokenizer)
    inputs = processor(images=video[0], text="red balloon.", return_tensors="pt")
    with torch.no_grad():
        output = segmenter._detector.model(**inputs)
    # Their score is over all tokens of the text; these cover the phrase's alone.
    output.logits[..., [0, 3, 4]] = -torch.inf
    theirs = processor.post_process_grounded_object_detection(
        output, inputs.input_ids, threshold=0.4, target_sizes=[(HEIGHT, WIDTH)]
    )[0]
    assert 0 < len(found) < 12
    assert {one.phrase for one in found} == {0}
    np.testing.assert_allclose([one.score for one in found], theirs["scores"].numpy(), rtol=1e-5)
    expected = theirs["boxes"].numpy().clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    np.testing.assert_allclose([one.box for one in found], expected, atol=1e-3)


def test_masks_are_tracked_from_the_surest_frame_to_both_ends(
    segmenter: GroundedSegmenter, video: np.ndarray, groups: list[ObjectGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The balloon is surest on the middle key frame; the house is found on the first key frame alone."""
    balloon, house = (4.0, 4.0, 20.0, 20.0), (24.0, 10.0, 44.0, 30.0)
    told = {
        1: [Found(0, 0.5, balloon), Found(1, 0.6, house)],
        3: [Found(0, 0.5, balloon), Found(0, 0.4, house)],
        5: [Found(0, 0.8, house)],
    }
    asked: list[np.ndarray] = []

    def detect(picture: np.ndarray, phrases: list[str]) -> list[Found]:
        assert phrases == PHRASES
        asked.append(picture)
        return told[next(i for i in range(FRAMES) if np.array_equal(video[i], picture))]

    monkeypatch.setattr(segmenter, "detect", detect)
    visits: list[tuple[int, bool]] = []
    original = segmenter._tracker.model.forward

    def forward(session: Sam2VideoInferenceSession, frame_idx: int, reverse: bool = False) -> object:
        visits.append((frame_idx, reverse))
        return original(session, frame_idx=frame_idx, reverse=reverse)

    monkeypatch.setattr(segmenter._tracker.model, "forward", forward)
    masks = segmenter.segment(video, groups)
    assert len(asked) == 3
    assert masks.shape == (2, FRAMES, HEIGHT, WIDTH) and masks.dtype == bool
    conditioned = [i for i, (_, reverse) in enumerate(visits) if not reverse and (i == 0 or visits[i - 1][1])]
    orders = [[frame for frame, _ in visits[a:b]] for a, b in zip(conditioned, [*conditioned[1:], None], strict=True)]
    assert orders == [[1, 1, 2, 3, 4, 5, 6, 1, 0], [3, 3, 4, 5, 6, 3, 2, 1, 0]]
    assert masks.any(axis=(2, 3)).all(), "the tiny tracker loses nothing"
    assert not np.array_equal(masks[0], masks[1])


@torch.no_grad()
def test_a_boxs_mask_is_sam_2s_own(
    segmenter: GroundedSegmenter, folders: tuple[str, str], video: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the frame of the box: the prompt in pixels of the model's square, the mask back in those of the video."""
    box = (6.0, 8.0, 30.0, 28.0)
    masks = np.zeros((1, FRAMES, HEIGHT, WIDTH), dtype=bool)
    segmenter._track(video, 2, [Found(0, 0.9, box)], masks)
    # The same prompt by hand to a single picture, which the processor's code for sessions would scale like this.
    frames = torch.from_numpy(video[2]).permute(2, 0, 1)[None] / 255.0
    frames = torch.nn.functional.interpolate(frames, (SIDE, SIDE), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    session = Sam2VideoInferenceSession((frames - mean) / std, HEIGHT, WIDTH, dtype=torch.float32)
    points = torch.tensor([[[[6 * SIDE / WIDTH, 8 * SIDE / HEIGHT], [30 * SIDE / WIDTH, 28 * SIDE / HEIGHT]]]])
    prompt = {"point_coords": points, "point_labels": torch.tensor([[[2, 3]]])}
    session.add_point_inputs(session.obj_id_to_idx(1), 0, prompt)
    session.obj_with_new_inputs = [1]
    model = Sam2VideoModel.from_pretrained(folders[1]).eval()
    expected = model(session, frame_idx=0).pred_masks
    expected = torch.nn.functional.interpolate(expected, (HEIGHT, WIDTH), mode="bilinear")[0, 0] > 0
    assert 0 < expected.float().mean() < 1
    assert np.array_equal(masks[0, 2], expected.numpy())


def test_nothing_found_is_an_empty_mask(
    segmenter: GroundedSegmenter, video: np.ndarray, groups: list[ObjectGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "SCORE", 1.1)
    assert not segmenter.segment(video, groups).any()


def test_unreadable_weights_are_one_clear_error(folders: tuple[str, str], tmp_path: Path) -> None:
    detector, tracker = folders
    with pytest.raises(UserError, match="AutoTokenizer of .* cannot be loaded"):
        GroundedSegmenter(str(tmp_path), tracker)
    broken = save_tracker(tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="Sam2VideoModel of .* cannot be loaded") as caught:
        GroundedSegmenter(detector, str(broken))
    assert caught.value.remedy is not None
