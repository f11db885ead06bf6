"""Agreement of maps and masks against definitions written out, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from probes.measures import agreements, average_precision, iou, to_grid
from ttom.types import TokenGrid


def average_precision_by_definition(values: np.ndarray, labels: np.ndarray) -> float:
    """Each threshold in turn, in plain loops."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(values.ravel().tolist()), reverse=True):
        taken = [bool(label) for value, label in zip(values.ravel(), labels.ravel(), strict=True) if value >= threshold]
        precision, recall = sum(taken) / len(taken), sum(taken) / labels.sum()
        total += (recall - recall_before) * precision
        recall_before = recall
    return total


@pytest.mark.parametrize("levels", [1000, 3, 1], ids=["no ties", "many ties", "all equal"])
def test_average_precision_is_its_definition(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(20):
        values = rng.integers(0, levels, (5, 8)).astype(np.float32) / levels
        labels = rng.random((5, 8)) < rng.uniform(0.05, 0.9)
        labels[0, 0] = True
        assert average_precision(values, labels) == pytest.approx(average_precision_by_definition(values, labels))


def test_average_precision_of_scores_without_ties_from_their_ranks() -> None:
    """Mean over the mask's cells of (rank among the mask's) / (rank among all): another formula, scipy's ranks."""
    rng = np.random.default_rng(0)
    values, labels = rng.permutation(60).reshape(6, 10) / 60, rng.random((6, 10)) < 0.3
    among_all = rankdata(-values).reshape(6, 10)[labels]
    among_mask = rankdata(-values[labels])
    assert average_precision(values, labels) == pytest.approx(np.mean(among_mask / among_all))


def test_average_precision_at_its_ends() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:3] = True
    assert average_precision(mask.astype(float), mask) == 1
    assert average_precision(np.ones((4, 5)), mask) == pytest.approx(4 / 20)  # chance: the mask's share
    assert average_precision(-mask.astype(float), mask) == pytest.approx(4 / 20)  # every cell before any of the mask


def test_iou_counts_cells_above_half_way_between_the_ends() -> None:
    attention = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.9]])  # half way: 0.5
    mask = np.array([[False, False, True], [False, True, True]])
    assert iou(attention, mask) == pytest.approx(2 / 3)
    for scale, offset in ((1e-4, 0.0), (1.0, 7.0)):  # neither the scale nor the offset of a block matters
        assert iou(scale * attention + offset, mask) == pytest.approx(2 / 3)
    assert iou(np.full((2, 3), 0.2), mask) == pytest.approx(3 / 6)  # no contrast: all cells alike
    assert iou(1 - attention, mask) == pytest.approx(2 / 6)


def test_masks_on_the_grid_are_those_of_loops() -> None:
    rng = np.random.default_rng(0)
    grid, factor = TokenGrid(3, 2, 3), 4
    masks = rng.random((2, 9, 8, 12)) < 0.5
    found = to_grid(masks, grid, factor)
    assert found.shape == (2, 3, 2, 3) and found.any() and not found.all()
    pictures = {0: [0], 1: [1, 2, 3, 4], 2: [5, 6, 7, 8]}
    for n in range(2):
        for f, frames in pictures.items():
            for y in range(2):
                for x in range(3):
                    cell = [masks[n, t, 4 * y + i, 4 * x + j] for t in frames for i in range(4) for j in range(4)]
                    assert found[n, f, y, x] == (sum(cell) >= len(cell) / 2)


def test_each_picture_may_be_a_latent_frame() -> None:
    masks = np.zeros((1, 3, 2, 2), bool)
    masks[0, 1, 0, 1] = True
    assert np.array_equal(to_grid(masks, TokenGrid(3, 2, 2), 1), masks)


def test_agreements_leave_out_frames_without_the_object() -> None:
    rng = np.random.default_rng(1)
    maps = rng.random((3, 4, 5, 6))
    masks = rng.random((3, 4, 5, 6)) < 0.3
    masks[1, 2:] = False
    masks[2] = False
    found = agreements(maps, masks)
    assert found[2] is None
    assert found[0] is not None and found[1] is not None
    for n, frames in ((0, range(4)), (1, range(2))):
        assert found[n].miou == pytest.approx(np.mean([iou(maps[n, f], masks[n, f]) for f in frames]))
        assert found[n].ap == pytest.approx(
            np.mean([average_precision_by_definition(maps[n, f], masks[n, f]) for f in frames])
        )
