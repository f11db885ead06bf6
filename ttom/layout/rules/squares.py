"""Regions of the picture, and boxes in them that are square in pixels. Lengths are shares of the picture."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ttom.layout.model import Box, KeyFrame

_SIDE = (
    0.327  # side of a single square, the square root of its share of the picture; 0.27 wide and 0.40 high at aspect 1.5
)
_CROWDING = 0.067  # each additional object makes all of them this much smaller: six are 0.30 high at aspect 1.5
_FILL = 0.8  # share of its cell that a box may fill; the rest separates neighbors
JITTER = 0.015

Path = tuple[KeyFrame, ...]


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    def split(self, weights: Sequence[float], *, rows: bool) -> list[Region]:
        """Bands from top to bottom (rows) or from left to right, with thickness in proportion to the weights."""
        bands, start = [], 0.0
        for weight in weights:
            end = start + weight / sum(weights)
            if rows:
                bands.append(Region(self.x0, self.y0 + start * self.height, self.x1, self.y0 + end * self.height))
            else:
                bands.append(Region(self.x0 + start * self.width, self.y0, self.x0 + end * self.width, self.y1))
            start = end
        return bands


PICTURE = Region(0.0, 0.0, 1.0, 1.0)


class Squares:
    """Boxes in cells of regions, slightly off the middle at random (seeded).

    Args:
        aspect: Picture width / height.
        rng: The random generator; used in the order of the boxes.
    """

    def __init__(self, aspect: float, rng: random.Random) -> None:
        self.aspect, self.rng = aspect, rng

    def size(self, count: int) -> tuple[float, float]:
        """Width and height of a box, square in pixels, for this many objects in the picture."""
        side = _SIDE / (1 + _CROWDING * (count - 1))
        # In a very wide or tall picture the square is held to 0.6 of the shorter side.
        height = min(side * math.sqrt(self.aspect), 0.6, 0.6 * self.aspect)
        return height / self.aspect, height

    def cells(self, region: Region, count: int) -> list[Region]:
        """A grid of at least ``count`` cells with the largest squares; the cells of a short last row are centered."""

        def smallest(columns: int) -> float:
            rows = math.ceil(count / columns)
            return min(region.width / columns * self.aspect, region.height / rows)

        columns = max(range(1, count + 1), key=smallest)
        rows = math.ceil(count / columns)
        cells: list[Region] = []
        for row in region.split([1] * rows, rows=True):
            missing = max(0, columns - (count - len(cells)))
            shift = missing * region.width / columns / 2
            centered = Region(row.x0 + shift, row.y0, row.x1 - shift, row.y1)
            cells += centered.split([1] * (columns - missing), rows=False)
        return cells

    def fit(self, cells: Sequence[Region], size: tuple[float, float]) -> tuple[float, float]:
        """The size, shrunk in proportion until it fits all cells."""
        shrink = min(1.0, *(min(_FILL * c.width / size[0], _FILL * c.height / size[1]) for c in cells))
        return size[0] * shrink, size[1] * shrink

    def _jitter(self, slack: float) -> float:
        limit = max(0.0, min(JITTER, 0.4 * slack))
        return self.rng.uniform(-limit, limit)

    def _center_in(self, cell: Region, size: tuple[float, float]) -> tuple[float, float]:
        x = (cell.x0 + cell.x1) / 2 + self._jitter((cell.width - size[0]) / 2)
        y = (cell.y0 + cell.y1) / 2 + self._jitter((cell.height - size[1]) / 2)
        return x, y

    def still(self, cells: Sequence[Region], size: tuple[float, float]) -> list[Path]:
        return [(KeyFrame(time=0.0, box=square(self._center_in(cell, size), size)),) for cell in cells]


def square(center: tuple[float, float], size: tuple[float, float]) -> Box:
    (x, y), (width, height) = center, size
    return Box(
        x0=round(x - width / 2, 4), y0=round(y - height / 2, 4), x1=round(x + width / 2, 4), y1=round(y + height / 2, 4)
    )


def shifted(path: Path, dx: float, dy: float) -> Path:
    return tuple(
        KeyFrame(
            time=frame.time,
            box=Box(
                x0=round(frame.box.x0 + dx, 4),
                y0=round(frame.box.y0 + dy, 4),
                x1=round(frame.box.x1 + dx, 4),
                y1=round(frame.box.y1 + dy, 4),
            ),
        )
        for frame in path
    )
