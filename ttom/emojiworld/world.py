"""Scenes of EmojiWorld: what is where at which time, the held-out combinations, and the renderer.

A scene is drawn at HEIGHT x WIDTH pixels over FRAMES frames. Objects move in straight lines at constant speed over a
colour gradient. Dimension letters: B scenes, S object slots, T frames.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttom.emojiworld.nouns import NOUNS, extents, sprites

FRAMES, HEIGHT, WIDTH = 17, 64, 96
SLOTS = 8
DIRECTIONS = ("left", "right", "up", "down")
RELATIONS = ("left", "right", "above", "below")
MAX_COUNT = 6
Split = Literal["train", "tune", "test"]
Kind = Literal["motion", "motion_beside", "two_movers", "relation", "count", "two_counts"]
KINDS: tuple[Kind, ...] = ("motion", "motion_beside", "two_movers", "relation", "count", "two_counts")
KIND_SHARES = (0.24, 0.10, 0.12, 0.24, 0.17, 0.13)


def split_of(*combination: object) -> Split:
    """The split that a (noun, direction), (noun, count) or (noun, noun, relation) combination belongs to.

    One fifth is "test", another "tune", the rest "train"; fixed for ever by a hash of the words.
    """
    digest = hashlib.sha256("|".join(map(str, combination)).encode()).digest()
    return ("test", "tune", "train", "train", "train")[digest[0] % 5]


Point = tuple[float, float]


@dataclass(frozen=True)
class Thing:
    """One object: noun index, start and end centre in pixels, and side of the sprite in pixels."""

    noun: int
    start: tuple[float, float]
    end: tuple[float, float]
    size: float


@dataclass
class Scene:
    """A scene and the facts that a caption may tell.

    Attributes:
        kind: Which family it is of.
        things: Objects, drawn in this order.
        facts: Family-specific: "direction", "directions", "relation", "counts" (pairs of noun index and number).
        background: Two RGB colours in 0..1 and the gradient's angle in radians.
        scenery: Key of captions.SCENERY that the background shows, or None.
    """

    kind: Kind
    things: list[Thing]
    facts: dict = field(default_factory=dict)
    background: tuple = ()
    scenery: str | None = None


def combinations(kind: Kind, nouns: list[int], facts: dict) -> list[tuple]:
    """The combinations that a scene shows; each decides the scene's split."""
    names = [NOUNS[n].name for n in nouns]
    if kind == "motion":
        return [(names[0], facts["direction"])]
    if kind == "motion_beside":
        return [(names[0], facts["direction"]), (names[0], names[1], facts["relation"])]
    if kind == "two_movers":
        return [(name, direction) for name, direction in zip(names, facts["directions"], strict=True)]
    if kind == "relation":
        return [(names[0], names[1], facts["relation"])]
    return [(NOUNS[n].name, count) for n, count in facts["counts"]]


def _path(rng: random.Random, direction: str, size: float, lane: float | None = None) -> tuple[Point, Point]:
    """Start and end of a mover; lane fixes the coordinate across the direction."""
    half = size / 2
    if direction in ("left", "right"):
        near, far = rng.uniform(half, half + 14), rng.uniform(WIDTH - half - 14, WIDTH - half)
        across = lane if lane is not None else rng.uniform(half, HEIGHT - half)
        start, end = (near, across), (far, across)
        return (start, end) if direction == "right" else (end, start)
    near, far = rng.uniform(half, half + 5), rng.uniform(HEIGHT - half - 5, HEIGHT - half)
    across = lane if lane is not None else rng.uniform(half, WIDTH - half)
    start, end = (across, near), (across, far)
    return (start, end) if direction == "down" else (end, start)


def _still(noun: int, centre: tuple[float, float], size: float) -> Thing:
    return Thing(noun, centre, centre, size)


def _beside(rng: random.Random, relation: str, size_a: float, size_b: float) -> tuple | None:
    """Centres of A and B with A `relation` B, apart and inside the picture; None if the draw failed."""
    horizontal = relation in ("left", "right")
    extent, other = (WIDTH, HEIGHT) if horizontal else (HEIGHT, WIDTH)
    gap = rng.uniform(1, 12 if horizontal else 6)
    distance = (size_a + size_b) / 2 + gap
    low, high = size_a / 2, extent - size_b / 2 - distance
    if high < low:
        return None
    a = rng.uniform(low, high)
    b = a + distance
    across_a = rng.uniform(size_a / 2, other - size_a / 2)
    across_b = across_a + rng.uniform(-0.35, 0.35) * distance
    if not size_b / 2 <= across_b <= other - size_b / 2:
        return None
    if relation in ("right", "below"):
        a, b = extent - a, extent - b
    return ((a, across_a), (b, across_b)) if horizontal else ((across_a, a), (across_b, b))


def _scatter(rng: random.Random, sizes: list[float]) -> list[tuple[float, float]] | None:
    """Centres of still things that do not overlap; None if they did not fit."""
    centres: list[tuple[float, float]] = []
    for i, size in enumerate(sizes):
        for _ in range(60):
            x, y = rng.uniform(size / 2, WIDTH - size / 2), rng.uniform(size / 2, HEIGHT - size / 2)
            room = [(abs(x - cx), abs(y - cy), (size + sizes[j]) / 2) for j, (cx, cy) in enumerate(centres)]
            if all(dx >= need or dy >= need for dx, dy, need in room):
                centres.append((x, y))
                break
        if len(centres) <= i:
            return None
    return centres


def _motion(rng: random.Random, nouns: list[int], facts: dict) -> list[Thing]:
    size = rng.uniform(20, 30)
    return [Thing(nouns[0], *_path(rng, facts["direction"], size), size)]


def _motion_beside(rng: random.Random, nouns: list[int], facts: dict) -> list[Thing] | None:
    """A mover that stays above, below, left or right of a still thing all the way."""
    horizontal = facts["direction"] in ("left", "right")
    if horizontal != (facts["relation"] in ("above", "below")):
        return None
    a, b = rng.uniform(20, 28), rng.uniform(20, 28)
    if horizontal:
        upper = rng.uniform(a / 2, HEIGHT - b - a / 2 - 1)
        lower = rng.uniform(upper + (a + b) / 2, HEIGHT - b / 2)
        lane, rest = (upper, lower) if facts["relation"] == "above" else (HEIGHT - upper, HEIGHT - lower)
        still = _still(nouns[1], (rng.uniform(b / 2 + 14, WIDTH - b / 2 - 14), rest), b)
    else:
        left = rng.uniform(a / 2 + 4, WIDTH - b - a / 2 - 6)
        right = rng.uniform(left + (a + b) / 2 + 1, WIDTH - b / 2)
        lane, rest = (left, right) if facts["relation"] == "left" else (WIDTH - left, WIDTH - right)
        still = _still(nouns[1], (rest, rng.uniform(b / 2, HEIGHT - b / 2)), b)
    return [still, Thing(nouns[0], *_path(rng, facts["direction"], a, lane), a)]


def _two_movers(rng: random.Random, nouns: list[int], facts: dict) -> list[Thing] | None:
    """Two movers on lanes of their own: both horizontal or both vertical."""
    first, second = facts["directions"]
    horizontal = first in ("left", "right")
    if horizontal != (second in ("left", "right")):
        return None
    extent = HEIGHT if horizontal else WIDTH
    a, b = rng.uniform(20, 27), rng.uniform(20, 27)
    lane_a = rng.uniform(a / 2, extent - b - a / 2 - 1)
    lane_b = rng.uniform(lane_a + (a + b) / 2 + 1, extent - b / 2)
    if rng.random() < 0.5:
        lane_a, lane_b = extent - lane_a, extent - lane_b
    return [
        Thing(nouns[0], *_path(rng, first, a, lane_a), a),
        Thing(nouns[1], *_path(rng, second, b, lane_b), b),
    ]


def _relation(rng: random.Random, nouns: list[int], facts: dict) -> list[Thing] | None:
    sizes = rng.uniform(20, 30), rng.uniform(20, 30)
    centres = _beside(rng, facts["relation"], *sizes)
    if centres is None:
        return None
    return [_still(n, c, s) for n, c, s in zip(nouns, centres, sizes, strict=True)]


def _counts(rng: random.Random, nouns: list[int], facts: dict) -> list[Thing] | None:
    kinds = [noun for noun, count in facts["counts"] for _ in range(count)]
    low, high = {1: (22, 32), 2: (21, 29), 3: (19, 25), 4: (18, 23)}.get(len(kinds), (16, 20))
    base = rng.uniform(low, high)
    sizes = [base * rng.uniform(0.92, 1.08) for _ in kinds]
    centres = _scatter(rng, sizes)
    if centres is None:
        return None
    return [_still(n, c, s) for n, c, s in zip(kinds, centres, sizes, strict=True)]


_LAYOUTS = {
    "motion": _motion,
    "motion_beside": _motion_beside,
    "two_movers": _two_movers,
    "relation": _relation,
    "count": _counts,
    "two_counts": _counts,
}


def _facts(rng: random.Random, kind: Kind, nouns: list[int]) -> dict:
    if kind == "motion":
        return {"direction": rng.choice(DIRECTIONS)}
    if kind == "motion_beside":
        return {"direction": rng.choice(DIRECTIONS), "relation": rng.choice(RELATIONS)}
    if kind == "two_movers":
        return {"directions": (rng.choice(DIRECTIONS), rng.choice(DIRECTIONS))}
    if kind == "relation":
        return {"relation": rng.choice(RELATIONS)}
    if kind == "count":
        return {"counts": ((nouns[0], rng.randint(1, MAX_COUNT)),)}
    first = rng.randint(1, 4)
    return {"counts": ((nouns[0], first), (nouns[1], rng.randint(1, min(4, SLOTS - 1 - first))))}


def sample_scene(rng: random.Random, split: Split, kind: Kind | None = None) -> Scene:
    """Draw a scene all of whose combinations belong to the split (background still to be painted)."""
    while True:
        chosen = kind or rng.choices(KINDS, KIND_SHARES)[0]
        nouns = rng.sample(range(len(NOUNS)), 2)
        facts = _facts(rng, chosen, nouns)
        if any(split_of(*combination) != split for combination in combinations(chosen, nouns, facts)):
            continue
        things = _LAYOUTS[chosen](rng, nouns, facts)
        if things:
            return Scene(chosen, things, {**facts, "nouns": nouns})


def thing_boxes(thing: Thing) -> np.ndarray:
    """Tight boxes ``(FRAMES, 4)`` in pixels, x0 y0 x1 y1."""
    centres = np.linspace(thing.start, thing.end, FRAMES)
    half = extents()[thing.noun] * thing.size / 2
    return np.concatenate([centres - half, centres + half], 1)


def pack(scenes: list[Scene]) -> dict[str, Tensor]:
    """Painted scenes as tensors for the renderer.

    Returns:
        "things" ``(B, S, 6)``: start x y, end x y, size (pixels), noun (-1 if the slot is empty);
        "back" ``(B, 7)``: two RGB colours and the gradient's angle.
    """
    things = np.full((len(scenes), SLOTS, 6), -1, dtype=np.float32)
    back = np.zeros((len(scenes), 7), dtype=np.float32)
    for i, scene in enumerate(scenes):
        for j, thing in enumerate(scene.things):
            things[i, j] = (*thing.start, *thing.end, thing.size, thing.noun)
        first, second, angle = scene.background
        back[i] = (*first, *second, angle)
    return {"things": torch.from_numpy(things), "back": torch.from_numpy(back)}


class Renderer:
    """Draws packed scenes on a device, all at once."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        rgba = torch.from_numpy(sprites()).clone()
        rgba[:, :3] *= rgba[:, 3:]  # multiplied by alpha, so that interpolation has no dark fringes
        self.sprites = rgba.to(device)
        y, x = torch.meshgrid(
            torch.arange(HEIGHT, device=device) + 0.5, torch.arange(WIDTH, device=device) + 0.5, indexing="ij"
        )
        self.x, self.y = x, y

    @torch.no_grad()
    def __call__(self, packed: dict[str, Tensor], times: Tensor) -> tuple[Tensor, Tensor]:
        """Render.

        Args:
            packed: See `pack`, on the renderer's device.
            times: ``(T,)`` or ``(B, T)`` in 0..1, 0 the first frame and 1 the last.

        Returns:
            Frames ``(B, 3, T, HEIGHT, WIDTH)`` in -1..1, and the visible noun of each pixel, int16
            ``(B, T, HEIGHT, WIDTH)``, -1 where the background shows.
        """
        things, back = packed["things"], packed["back"]
        batch = len(things)
        times = times.expand(batch, -1) if times.dim() == 1 else times
        count = times.shape[1]
        angle = back[:, 6, None, None]
        slope = (self.x / WIDTH - 0.5) * angle.cos() + (self.y / HEIGHT - 0.5) * angle.sin() + 0.5
        slope = slope.clamp(0, 1)[:, None]
        colour = back[:, :3, None, None] * (1 - slope) + back[:, 3:6, None, None] * slope
        frames = colour[:, None].expand(-1, count, -1, -1, -1).clone()
        labels = torch.full((batch, count, HEIGHT, WIDTH), -1, dtype=torch.int16, device=things.device)
        for slot in range(things.shape[1]):
            used = (things[:, slot, 5] >= 0).nonzero()[:, 0]
            if len(used):
                self._paste(frames, labels, things[used, slot], times[used], used)
        return frames.permute(0, 2, 1, 3, 4) * 2 - 1, labels

    def _paste(self, frames: Tensor, labels: Tensor, thing: Tensor, times: Tensor, used: Tensor) -> None:
        centre = thing[:, None, :2] + (thing[:, None, 2:4] - thing[:, None, :2]) * times[..., None]
        half = (thing[:, 4] / 2)[:, None, None, None]
        grid = torch.stack(
            [(self.x - centre[..., 0, None, None]) / half, (self.y - centre[..., 1, None, None]) / half], -1
        )
        count = times.shape[1]
        noun = thing[:, 5].long()
        sprite = self.sprites[noun].repeat_interleave(count, 0)
        drawn = F.grid_sample(sprite, grid.flatten(0, 1), align_corners=False).unflatten(0, (-1, count))
        alpha = drawn[:, :, 3:]
        frames[used] = frames[used] * (1 - alpha) + drawn[:, :, :3]
        labels[used] = torch.where(alpha[:, :, 0] > 0.5, noun.to(torch.int16)[:, None, None, None], labels[used])


def frame_times(count: int = FRAMES) -> Tensor:
    return torch.linspace(0, 1, count)
