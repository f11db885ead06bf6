"""Generate the plain video of a prompt and record every block's object maps at chosen steps.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from torch import Tensor

from ttom.backbones.protocol import Backbone
from ttom.config import SamplerConfig
from ttom.errors import SetupError
from ttom.layout.model import ObjectGroup
from ttom.sampler import Sampler
from ttom.types import TokenGrid


class MapSpool:
    """Maps on disk, in an unnamed temporary file: only one map is ever in RAM.

    They stay there until the video can be segmented, after the last step.
    """

    def __init__(self, folder: Path, grid: TokenGrid) -> None:
        with _as_user_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed in __exit__)
        self._folder = folder
        self._grid = grid
        self._entries: list[tuple[int, int, int]] = []  # step, block, objects

    def __enter__(self) -> MapSpool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, step: int, block: int, maps: Tensor) -> None:
        """Append the maps ``(N, S)`` of a block at a step."""
        with _as_user_error(self._folder):
            self._file.write(maps.detach().float().cpu().numpy().tobytes())
        self._entries.append((step, block, len(maps)))

    def __iter__(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Step, block and maps ``(N, F, H, W)``, in the order in which they were written."""
        with _as_user_error(self._folder):  # buffered writes may reach the disk only now
            self._file.seek(0)
        for step, block, objects in self._entries:
            flat = np.frombuffer(self._file.read(4 * objects * self._grid.count), dtype=np.float32)
            yield step, block, flat.reshape(objects, self._grid.frames, self._grid.height, self._grid.width)


@contextmanager
def _as_user_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"cannot keep the maps of a video in {folder}: {error.strerror or error}",
            remedy="free up space there, or name another folder",
        ) from error


@dataclass(frozen=True)
class Watched:
    """A video of method base.

    Attributes:
        latents: Final latents, those of ``TTOM.generate(method="base")`` bit for bit.
        video: uint8 ``(T, height, width, 3)``.
        timesteps: What the transformer was given at each of the chosen steps.
    """

    latents: Tensor
    video: np.ndarray
    timesteps: dict[int, float]


def generate(
    backbone: Backbone,
    prompt: str,
    groups: list[ObjectGroup],
    config: SamplerConfig,
    seed: int,
    *,
    steps: tuple[int, ...],
    blocks: tuple[int, ...],
    spool: MapSpool,
) -> Watched:
    """Generate the plain video of a prompt and spool the maps of ``groups`` in ``blocks`` at each of ``steps``.

    One pass: maps come from the same forward passes that generate the video (the conditional branch of the guidance).

    Raises:
        UserError: A phrase is not in the prompt, or lies past the text length.
    """
    size = config.size
    length = config.max_sequence_length
    text = backbone.encode_prompt(
        prompt, config.negative_prompt, guidance=config.guidance_scale > 1, max_sequence_length=length
    )
    tokens = [backbone.vocabulary.phrase_tokens(prompt, group.phrase, length) for group in groups]
    sampler = Sampler(backbone, text, config, seed)
    latents = backbone.initial_latents(size, seed)

    def watch(step: int) -> AbstractContextManager[object]:
        # Of a batch of both branches the prompt's is the last.
        return backbone.watching(tokens, blocks, lambda block, maps: spool.write(step, block, maps[-1]))

    for step in range(len(sampler.timesteps)):
        latents = sampler.step(step, latents, watch(step) if step in steps else None)
    chosen = {step: float(sampler.timesteps[step]) for step in steps}
    return Watched(latents, backbone.decode(latents).numpy(), chosen)
