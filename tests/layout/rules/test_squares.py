"""Parts of the picture, and square boxes in them."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.layout.seen import overlap
from ttom.layout.model import Box, KeyFrame
from ttom.layout.rules.squares import PICTURE, Region, Squares, shifted


@pytest.mark.parametrize("rows", [True, False])
def test_bands_fill_the_region(rows: bool) -> None:
    region = Region(0.2, 0.1, 0.8, 0.9)
    bands = region.split([1, 2, 1], rows=rows)
    sizes = [(band.height if rows else band.width) for band in bands]
    assert sum(sizes) == pytest.approx(region.height if rows else region.width)
    assert sizes[1] == pytest.approx(2 * sizes[0])
    assert all((b.y0 if rows else b.x0) == pytest.approx(a.y1 if rows else a.x1) for a, b in itertools.pairwise(bands))


@pytest.mark.parametrize("aspect", [0.4, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("count", [1, 2, 5, 7, 24])
def test_boxes_are_square_apart_and_inside(aspect: float, count: int) -> None:
    squares = Squares(aspect, random.Random(count))
    cells = squares.cells(PICTURE, count)
    boxes = [path[0].box for path in squares.still(cells, squares.fit(cells, squares.size(count)))]
    assert len(boxes) == count
    assert all(box.width * aspect == pytest.approx(box.height, rel=0.02) for box in boxes)
    assert all(overlap(a, b) == 0 for a, b in itertools.combinations(boxes, 2))


def test_shifting_keeps_times_and_sizes() -> None:
    path = (KeyFrame(time=0.0, box=Box(x0=0.1, y0=0.1, x1=0.3, y1=0.3)),)
    (moved,) = shifted(path, 0.5, 0.25)
    assert moved.time == 0.0
    assert moved.box == Box(x0=0.6, y0=0.35, x1=0.8, y1=0.55)
