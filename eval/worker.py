"""What makes the videos of a run, in this process or on another host; see `ttom.parallel`.

A worker touches no file of the run: it gets a case with its layout and its adapter, and returns the bytes of the video
with its report.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.types import Case
from ttom.cli.commands import hush_libraries
from ttom.cli.plugins import import_plugins
from ttom.config import RuntimeConfig, Settings
from ttom.errors import SetupError, UserError
from ttom.layout.model import Layout
from ttom.report import Report
from ttom.result import Result

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ttom.memory.embedders import TextEmbedder
    from ttom.memory.signature import Signature

Adapter = dict[str, "Tensor"]


@dataclass(frozen=True)
class Job:
    """A case, ready to be made.

    Attributes:
        prompt: The text of the video: the case's, or what the planner enriched it to.
        layout: Planned ahead; None if there is none, which only some methods can do with.
        adapter: What the memory holds for the prompt.
        wants_adapter: Whether the optimized adapter is to come back.
    """

    case: Case
    prompt: str
    layout: Layout | None
    adapter: Adapter | None = None
    wants_adapter: bool = False


@dataclass(frozen=True)
class Made:
    """A video as it goes to the disk.

    Attributes:
        video: An mp4 file.
        shape: Frames, height and width of the file's pictures.
        extra: Further files by name.
        adapter: As optimized, with its first and last loss; None unless it was asked for and there is one.
    """

    video: bytes
    shape: tuple[int, int, int]
    fps: int
    report: Report
    extra: dict[str, bytes]
    adapter: Adapter | None = None
    losses: tuple[float, float] | None = None


@dataclass(frozen=True)
class Optimized:
    """An adapter without a video: to fill a memory ahead."""

    adapter: Adapter
    losses: tuple[float, float]


@dataclass(frozen=True)
class NotMade:
    """Why there is no video: "refused" for a prompt that cannot work, "failed" for anything that may be tried again."""

    status: str
    error: str


@dataclass(frozen=True)
class MemoryTerms:
    """What a memory must have in common with the model: its embedder and the signature of its adapters."""

    embedder: str
    dimension: int
    signature: Signature


@dataclass(frozen=True)
class MakeVideos:
    """Loads the model of a run and makes its cases; call it with a device.

    Attributes:
        settings: As resolved; its memory belongs to the driver.
        plugins: Modules to import first, which may register methods.
        pictures: Whether attention maps are drawn.
        check, tries: As in `TTOM.generate`.
    """

    model: str
    dtype: str
    preset: str | None
    runtime: RuntimeConfig
    method: str
    settings: Settings
    pictures: bool = True
    plugins: tuple[str, ...] = ()
    check: str = "off"
    tries: int = 1

    def __call__(self, device: str) -> VideoWorker:
        return VideoWorker(self, device)


class VideoWorker:
    """A loaded model."""

    def __init__(self, run: MakeVideos, device: str) -> None:
        hush_libraries()
        import_plugins(run.plugins)
        import torch

        from ttom.pipeline import TTOM

        self._run = run
        self._ttom = TTOM.from_pretrained(
            run.model, device=device, dtype=run.dtype, preset=run.preset, runtime=run.runtime
        )
        if self._ttom.load().device.type == "cpu":
            # Sums of several threads are rounded otherwise: videos would depend on how many workers share the cores.
            torch.set_num_threads(1)
        self._embedder: TextEmbedder | None = None

    def memory_terms(self) -> MemoryTerms:
        """What a memory must fit."""
        from ttom.guidance.tto.adapter import LoraAdapter

        settings, embedder = self._run.settings, self._text_embedder()
        adapter = LoraAdapter(self._ttom.load(), settings.adapter, settings.tto.targets, seed=0)
        return MemoryTerms(embedder.identity, embedder.dimension, adapter.signature)

    def embed(self, keys: Sequence[str]) -> np.ndarray:
        """Embeddings ``(n, dimension)`` of memory keys."""
        return self._text_embedder().embed(keys)

    def make(self, job: Job) -> Made | NotMade:
        """Make a video. Raises SetupError for what every other case would meet too."""
        recollection, settings = _Carried(job.adapter), self._run.settings
        if job.layout is None:  # the driver's planner found none, and no language model is asked again
            settings = replace(settings, planner=replace(settings.planner, kind="rules"))
        try:
            result = self._ttom.generate(
                job.prompt,
                method=self._run.method,
                seed=job.case.seed,
                layout=job.layout,
                settings=settings,
                recollection=recollection,
                check=self._run.check,
                tries=self._run.tries,
            )
            return self._packed(result, recollection, job.wants_adapter)
        except Exception as error:
            return _not_made(error)

    def optimize(self, job: Job) -> Optimized | NotMade:
        """Optimize an adapter and make no video. Raises as `make`."""
        recollection = _Carried(job.adapter)
        try:
            settings, seed = self._run.settings, job.case.seed
            self._ttom.optimize(job.prompt, seed, job.layout, settings, recollection=recollection)
        except Exception as error:
            return _not_made(error)
        assert recollection.kept is not None and recollection.losses is not None
        return Optimized(recollection.kept, recollection.losses)

    def _packed(self, result: Result, recollection: _Carried, wants_adapter: bool) -> Made:
        from ttom.video import enlarge, write_video

        extra: dict[str, bytes] = {}
        video, fps = enlarge(result.video), result.settings.sampler.fps
        with tempfile.TemporaryDirectory(prefix="ttom-eval-") as name:
            path = Path(name)
            write_video(video, path / "video.mp4", fps)
            if self._run.pictures and result.draw_attention(path / "attention.png"):
                extra["attention.png"] = (path / "attention.png").read_bytes()
            encoded = (path / "video.mp4").read_bytes()
        frames, height, width = video.shape[:3]
        shape = frames, height + height % 2, width + width % 2  # as `write_video` pads
        kept = recollection.kept if wants_adapter else None
        losses = recollection.losses if wants_adapter else None
        return Made(encoded, shape, fps, result.report, extra, kept, losses)

    def _text_embedder(self) -> TextEmbedder:
        if self._embedder is None:
            from ttom.memory.embedders import load_embedder

            self._embedder = load_embedder(self._run.settings.memory.embedder, self._ttom.load())
        return self._embedder


class _Carried:
    """Stands for the memory, which is the driver's: see `ttom.types.Recollection`."""

    def __init__(self, state: Adapter | None) -> None:
        self.state = state
        self.kept: Adapter | None = None
        self.losses: tuple[float, float] | None = None

    def keep(self, adapter: Adapter, losses: tuple[float, float]) -> dict[str, Any] | None:
        self.kept, self.losses = adapter, losses
        return None


def _not_made(error: Exception) -> NotMade:
    """Why a case was refused or failed. Raises what every other case would meet too."""
    if isinstance(error, SetupError) or type(error).__name__ == "AcceleratorError":  # of a device that is lost
        raise error
    if isinstance(error, UserError):
        return NotMade("refused", str(error))
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return NotMade("failed", f"{type(error).__name__} at {place}: {str(error)[:500]}")


def without_memory(settings: Settings) -> Settings:
    """Settings for workers: how adapters are used stays, the memory itself is the driver's."""
    return replace(settings, memory=replace(settings.memory, path=None))
