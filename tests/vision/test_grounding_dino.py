"""GroundingDINO with tiny random weights; its boxes are compared in tests/probes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.probes.tiny_grounding import save_detector
from ttom.vision.grounding_dino import GroundingDino


def test_candidates_know_their_tokens(tmp_path: Path, picture: np.ndarray) -> None:
    model = GroundingDino(str(save_detector(tmp_path)))
    seen = model.query(picture, "red balloon.")
    assert seen.scores.shape == (12, 5) and seen.boxes.shape == (12, 4)
    assert [model.decode([token]) for token in seen.tokens] == ["[CLS]", "red", "balloon", ".", "[SEP]"]
    assert seen.offsets[1:4] == [(0, 3), (4, 11), (11, 12)]
