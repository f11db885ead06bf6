"""From a parsed scene to boxes over time."""

from __future__ import annotations

import random

from ttom.layout.rules.lanes import moving
from ttom.layout.rules.parse import Scene
from ttom.layout.rules.squares import Squares
from ttom.layout.rules.still import Placed, counted, in_depth, related


def place(scene: Scene, *, aspect: float, seed: int) -> Placed:
    """Boxes over time for every mention of the scene, in reading order; as many paths as the mention counts.

    No two boxes overlap, except for "in front of" and "behind". The same scene, aspect and seed give the same boxes.

    Args:
        scene: What to show.
        aspect: Picture width / height.
        seed: Seed of the small displacements.
    """
    squares = Squares(aspect, random.Random(seed))
    if scene.movers:
        placed = moving(squares, scene)
    elif scene.cells is None:
        placed = counted(squares, scene.statics, scene.high)
    elif len(scene.relations) == 1 and len(scene.cells) == 2 and scene.relations[0].kind in ("in front of", "behind"):
        placed = in_depth(squares, scene.relations[0])
    else:
        placed = related(squares, scene.cells, scene.relations)
    return sorted(placed, key=lambda item: item[0].first)
