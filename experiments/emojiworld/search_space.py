"""What the search tries: stages of points, each around the best bias that the stages before have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eval.study import Variant
from experiments.emojiworld.studies import options_of

Changes = dict[str, Any]
"""Settings by dotted names, beside the model's own preset."""
TRIES = "tries"
"""Among changes: how many videos are made of a prompt. It is no setting."""
STEPS = 8


@dataclass(frozen=True)
class Point:
    """A method with settings.

    Attributes:
        changes: Pairs of dotted name and value, in the order of the label.
    """

    method: str
    changes: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, method: str, changes: Changes) -> Point:
        return cls(method, tuple(changes.items()))

    @property
    def label(self) -> str:
        """Such as "bias steps=8 strength=8.0 end=0.5"; short, since folders are called by it."""
        words = [f"{name.rpartition('.')[2]}={_short(value)}" for name, value in self.changes]
        return " ".join([self.method, *words])

    @property
    def variant(self) -> Variant:
        """As the harness takes it."""
        changes = dict(self.changes)
        tries = changes.pop(TRIES, 1)
        steps = changes.get("sampler.steps", 25)
        if changes.get("tto.guided_steps", 5) > steps:  # the preset's, which then no method of the point uses
            changes["tto.guided_steps"] = steps
        return Variant(self.label, ("--method", self.method, "--tries", str(tries), *options_of(changes)))


def reference(best: Changes, blocks: int) -> Iterator[Point]:
    """What the others are compared with: the plain model first, in 25 steps."""
    yield Point("base")
    yield Point.of("base", {"sampler.steps": STEPS})
    yield Point("ttom")
    yield Point("lvd")
    yield Point.of("bias", best)


def bias(best: Changes, blocks: int) -> Iterator[Point]:
    """Strength and end."""
    for strength in (4.0, 6.0, 8.0, 10.0, 12.0, 16.0):
        for end in (0.3, 0.4, 0.5, 0.6, 0.7):
            yield Point.of("bias", best | {"bias.strength": strength, "bias.end": end})


def shape(best: Changes, blocks: int) -> Iterator[Point]:
    """Shape of the inside, weights of inside and outside, and blocks."""
    for region in ("ellipse", "box", "gaussian"):
        for inside, outside in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (1.0, 1.5), (1.5, 1.0)):
            yield Point.of("bias", best | {"bias.shape": region, "bias.inside": inside, "bias.outside": outside})
    half, most = blocks // 2, blocks - max(1, blocks // 4)
    for chosen in (range(half), range(half, blocks), range(most), range(1, blocks)):
        yield Point.of("bias", best | {"bias.blocks": tuple(chosen)})


def steps(best: Changes, blocks: int) -> Iterator[Point]:
    """Number of steps and guidance."""
    for count in (4, 5, 6, 8, 10, 12, 16, 20, 25):
        for scale in (1.5, 2.5, 4.0):
            yield Point.of("bias", best | {"sampler.steps": count, "sampler.guidance_scale": scale})


def difference(best: Changes, blocks: int) -> Iterator[Point]:
    """Guidance by the difference that the bias makes."""
    for weight in (0.25, 0.5, 1.0, 2.0):
        for factor in (0.75, 1.0):
            yield Point.of("bias", best | {"bias.difference": weight, "bias.strength": best["bias.strength"] * factor})


def tto(best: Changes, blocks: int) -> Iterator[Point]:
    """Optimization without a bias, in few steps and in 25."""
    middle = tuple(range(blocks // 2 - 1, blocks - 1))
    for guided, iterations in ((2, 4), (2, 8), (4, 2), (4, 4), (4, 8), (6, 2), (6, 4)):
        yield Point.of("ttom", {"sampler.steps": STEPS, "tto.guided_steps": guided, "tto.iterations": iterations})
    for rate in (2e-3, 1e-2):
        yield Point.of("ttom", {"sampler.steps": STEPS, "tto.guided_steps": 4, "tto.iterations": 4, "tto.lr": rate})
    for guided, iterations in ((5, 8), (10, 2), (10, 4), (15, 4)):
        yield Point.of("ttom", {"tto.guided_steps": guided, "tto.iterations": iterations})
    yield Point.of("ttom", {"tto.guided_steps": 10, "tto.iterations": 2, "tto.blocks": middle})
    yield Point.of("ttom", {"tto.guided_steps": 8, "tto.iterations": 2, "tto.blocks": middle})
    yield Point.of("ttom", {"tto.guided_steps": 10, "tto.iterations": 4, "tto.loss": "center_of_mass_motion"})


def both(best: Changes, blocks: int) -> Iterator[Point]:
    """Optimization under the bias."""
    for factor in (0.5, 1.0):
        changes = best | {"bias.strength": best["bias.strength"] * factor}
        for guided, iterations in ((1, 1), (1, 4), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2)):
            guided = min(guided, best["sampler.steps"])
            yield Point.of("ttom", changes | {"tto.guided_steps": guided, "tto.iterations": iterations})
    beside = {"tto.guided_steps": 2, "tto.iterations": 4, "bias.in_maps": False}
    yield Point.of("ttom", best | beside)


def tries(best: Changes, blocks: int) -> Iterator[Point]:
    """The best of several seeds, chosen by the detector."""
    for count in (2, 4):
        yield Point.of("bias", best | {TRIES: count})


STAGES: dict[str, Callable[[Changes, int], Iterator[Point]]] = {
    "reference": reference,
    "bias": bias,
    "shape": shape,
    "steps": steps,
    "difference": difference,
    "tto": tto,
    "both": both,
    "tries": tries,
}
"""In this order."""
MOVES = ("bias", "shape", "steps", "difference")
"""Stages whose best point the next ones start from."""
START: Changes = {"sampler.steps": STEPS, "bias.strength": 8.0, "bias.end": 0.5}


def points(stage: str, best: Changes, blocks: int) -> list[Point]:
    """The points of a stage, each once."""
    return list(dict.fromkeys(STAGES[stage](best, blocks)))


def _short(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
