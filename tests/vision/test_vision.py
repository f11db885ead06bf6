"""Pretrained models with tiny random weights: shapes, ranges, errors. Boxes are compared in tests/probes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DepthAnythingForDepthEstimation

from tests.probes.tiny_grounding import save_detector, save_tracker
from tests.vision.tiny_depth import save_depth
from ttom.errors import SetupError
from ttom.vision.depth_anything import DepthAnything
from ttom.vision.grounding_dino import GroundingDino
from ttom.vision.sam2 import Sam2

HEIGHT, WIDTH = 32, 48


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def test_depth_spans_the_whole_range_in_each_picture(tmp_path: Path, picture: np.ndarray) -> None:
    model = DepthAnything(str(save_depth(tmp_path)))
    depth = model.depth(picture)
    assert depth.shape == (HEIGHT, WIDTH) and depth.dtype == np.uint8
    assert depth.min() == 0 and depth.max() == 255
    # The same by transformers' own steps
    pixels = model.processor(images=picture, return_tensors="pt")
    with torch.no_grad():
        output = DepthAnythingForDepthEstimation.from_pretrained(tmp_path).eval()(**pixels)
    (raw,) = model.processor.post_process_depth_estimation(output, target_sizes=[(HEIGHT, WIDTH)])
    order = raw["predicted_depth"].numpy()
    assert np.corrcoef(order.ravel(), depth.ravel())[0, 1] > 0.99


def test_masks_of_one_picture_are_those_of_its_frame_in_a_video(tmp_path: Path, picture: np.ndarray) -> None:
    sam2 = Sam2(str(save_tracker(tmp_path)))
    boxes = [(4.0, 4.0, 20.0, 20.0), (24.0, 10.0, 44.0, 30.0)]
    masks = sam2.masks(picture, boxes)
    assert masks.shape == (2, HEIGHT, WIDTH) and masks.dtype == bool and masks.any()
    tracked = dict(sam2.track(np.stack([picture] * 3), 0, boxes))
    assert sorted(tracked) == [0, 1, 2]
    assert np.array_equal(tracked[0], masks)
    assert sam2.masks(picture, []).shape == (0, HEIGHT, WIDTH)


def test_candidates_know_their_tokens(tmp_path: Path, picture: np.ndarray) -> None:
    model = GroundingDino(str(save_detector(tmp_path)))
    seen = model.query(picture, "red balloon.")
    assert seen.scores.shape == (12, 5) and seen.boxes.shape == (12, 4)
    assert [model.decode([token]) for token in seen.tokens] == ["[CLS]", "red", "balloon", ".", "[SEP]"]
    assert seen.offsets[1:4] == [(0, 3), (4, 11), (11, 12)]


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = save_depth(tmp_path)
    weights = folder / "model.safetensors"
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(SetupError, match="DepthAnythingForDepthEstimation of .* cannot be loaded"):
        DepthAnything(str(folder))


@pytest.mark.parametrize("asked_by", ["tokenizer", "config"])
def test_code_in_the_folder_never_runs_and_no_question_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_by: str
) -> None:
    """With "y" on stdin, the Python file that an auto_map names once ran."""
    folder = save_detector(tmp_path / "detector")
    tokenizer, config = (json.loads((folder / f"{n}.json").read_text()) for n in ("tokenizer_config", "config"))
    tokenizer |= {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
    config["model_type"] = "evil"
    if asked_by == "config":
        config["auto_map"] = {"AutoConfig": "evil.Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    answers = io.StringIO("y\n" * 20)
    monkeypatch.setattr("sys.stdin", answers)
    with pytest.raises(SetupError, match="cannot be loaded"):
        GroundingDino(str(folder))
    assert not (tmp_path / "ran").exists() and answers.tell() == 0
