"""Looks at a run from inside the denoising loop: counts its steps, previews the clean video, keeps attention maps.

It is one more part of the method, the last one, and changes nothing: a run in the studio gives the video of the command
line, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

from ttom import files
from ttom.guidance.protocol import Part, Step
from ttom.studio.preview import Colors, Previews

if TYPE_CHECKING:
    from ttom.prepare import Prepared
    from ttom.result import Result

MAPS = "attention.json"
MAX_BLOCKS = 12
"""Blocks whose maps are kept, evenly chosen."""
_LEVEL = 0.8  # noise level of the step whose maps are kept: there the layout is being decided


@dataclass
class Watch:
    """What is to be seen of one run, and what was.

    Attributes:
        folder: Where previews and maps go.
        colors: For previews; shared by all runs of a model.
        step: Called before each step with the number of steps that are done.
        preview: Called after each preview.
        maps: Maps of each block ``(N, S)``, as they were read.
        level: Noise level at which they were.
    """

    folder: Path
    colors: Colors
    step: Callable[[int], None]
    preview: Callable[[], None]
    maps: dict[int, Tensor] = field(default_factory=dict)
    level: float = 0.0

    def part(self, prepared: Prepared) -> Part:
        return _Watching(self, prepared)

    def save_maps(self, result: Result) -> None:
        """Write the maps as pictures, and what they show as attention.json; nothing where none were read.

        A picture of a block, or of the mean over the target blocks before and after the method acted, has a row for
        each object group and a column for each latent frame, in cells of the token grid. White is the group's maximum.
        """
        if result.layout is None or result.masks is None:
            return
        frames, height, width = result.masks.masks.shape[1:]
        found: dict[str, Tensor] = {}
        for name, array in (("before", result.maps_before), ("after", result.maps_after)):
            if array is not None:
                found[name] = array
        count = frames * height * width
        for block, array in sorted(self.maps.items()):
            if array.shape[-1] == count:  # not so where optimization uses smaller latents
                found[str(block)] = array.unflatten(-1, (frames, height, width))
        if not found:
            return
        about = {
            "objects": [group.phrase for group in result.layout.groups()],
            "blocks": [int(name) for name in found if name.isdecimal()],
            "frames": frames,
            "grid": [frames, height, width],
            "noise_level": round(self.level, 4),
            "files": {name: f"map-{name}.png" for name in found},
        }
        with files.staged(self.folder) as stage:
            for name, array in found.items():
                _strip(array).save(stage / f"map-{name}.png", format="png")
            (stage / MAPS).write_text(json.dumps(about), encoding="utf-8")


def _strip(maps: Tensor) -> Image.Image:
    """Maps ``(N, F, H, W)`` as a gray picture of N rows and F columns of cells."""
    values = maps.float().cpu().numpy()
    top = np.maximum(values.max(axis=(1, 2, 3), keepdims=True), 1e-12)
    scaled = (255 * np.clip(values / top, 0, 1)).round().astype(np.uint8)
    count, frames, height, width = scaled.shape
    return Image.fromarray(scaled.transpose(0, 2, 1, 3).reshape(count * height, frames * width))


class _Watching(Part):
    """The part of one video."""

    def __init__(self, watch: Watch, prepared: Prepared) -> None:
        self._watch, self._prepared = watch, prepared
        self._levels = prepared.noise_levels
        self._previews = Previews(prepared, watch.folder, watch.colors)
        # The first step at that level, but not the last one of all: a run of one step has maps too.
        low = (k for k, level in enumerate(self._levels) if level <= _LEVEL)
        self._mapped = next(low, len(self._levels) - 1)

    def before(self, step: Step) -> Tensor:
        self._watch.step(step.index)
        if self._previews.show(step.index, step.latents):
            self._watch.preview()
        return step.latents

    def inside(self, step: Step) -> AbstractContextManager[object]:
        prepared = self._prepared
        if step.index != self._mapped or not prepared.tokens or self._watch.maps:
            return nullcontext()
        self._watch.level = self._levels[step.index]
        return prepared.backbone.watching(prepared.tokens, self._blocks(), self._keep)

    def _keep(self, block: int, maps: Tensor) -> None:
        self._watch.maps[block] = maps[-1].detach().float().cpu()  # of a batch of two, the prompt's is the last

    def _blocks(self) -> tuple[int, ...]:
        """All blocks, or as many as may be, the target blocks among them."""
        count, targets = self._prepared.backbone.num_blocks, self._prepared.settings.tto.targets
        if count <= MAX_BLOCKS:
            return tuple(range(count))
        spread = np.linspace(0, count - 1, max(MAX_BLOCKS - len(targets), 2)).round().astype(int).tolist()
        return tuple(sorted({*spread, *targets}))
