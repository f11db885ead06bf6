"""Looks at a run from inside the denoising loop: counts its steps, previews the clean video, keeps attention maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ttom.guidance.protocol import Part, Step

if TYPE_CHECKING:
    from ttom.prepare import Prepared
    from ttom.result import Result


class Watch:
    """What is seen of one run."""

    def __init__(self, folder: Path | None, step: Callable[[int], None], preview: Callable[[], None]) -> None:
        self.folder, self.step, self.preview = folder, step, preview

    def part(self, prepared: Prepared) -> Part:
        return _Watching(self, prepared)

    def save_maps(self, result: Result) -> None:
        pass


class _Watching(Part):
    def __init__(self, watch: Watch, prepared: Prepared) -> None:
        self._watch, self._prepared = watch, prepared

    def before(self, step: Step) -> Tensor:
        self._watch.step(step.index)
        return step.latents
