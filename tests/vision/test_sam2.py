"""SAM 2 with tiny random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.probes.tiny_grounding import save_tracker
from ttom.vision.sam2 import Sam2


def test_masks_of_one_picture_are_those_of_its_frame_in_a_video(tmp_path: Path, picture: np.ndarray) -> None:
    sam2 = Sam2(str(save_tracker(tmp_path)))
    boxes = [(4.0, 4.0, 20.0, 20.0), (24.0, 10.0, 44.0, 30.0)]
    masks = sam2.masks(picture, boxes)
    assert masks.shape == (2, *picture.shape[:2]) and masks.dtype == bool and masks.any()
    tracked = dict(sam2.track(np.stack([picture] * 3), 0, boxes))
    assert sorted(tracked) == [0, 1, 2]
    assert np.array_equal(tracked[0], masks)
    assert sam2.masks(picture, []).shape == (0, *picture.shape[:2])
