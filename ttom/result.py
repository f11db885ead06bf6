"""What a run hands back: the video with its typed report, and the files that both become."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ttom import files
from ttom.config import Settings
from ttom.errors import UserError
from ttom.layout.model import Layout, save_layout
from ttom.report import Report, Seconds
from ttom.types import ObjectMasks

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


FILES = ("video.mp4", "overlay.mp4", "attention.png", "layout.json", "report.json")
"""Names of the files of a saved result."""
LATENTS = "latents.safetensors"
"""Final latents of a run whose video could not be decoded or written."""


class Stopwatch:
    """Wall seconds of the stages of one run."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def report(self) -> Seconds:
        total = time.perf_counter() - self._start
        return Seconds(**{stage: round(s, 3) for stage, s in (self._seconds | {"total": total}).items()})


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        video: uint8 ``(T, height, width, 3)``.
        latents: Final latents, as the stock pipeline returns them with output_type="latent".
        layout: The layout; None if method base found nothing to plan in the prompt.
        report: What report.json holds.
        settings: The settings as resolved.
        masks: The layout on the token grid; None without a layout.
        maps_before: Attention maps ``(N, F, H, W)`` of the object groups before the optimization, mean over blocks;
            None if no part of the method read them.
        maps_after: The same after it; None for method base.
        adapter: The LoRA that was optimized or loaded, by tensor name; None for methods without one.
    """

    video: np.ndarray
    latents: Tensor
    layout: Layout | None
    report: Report
    settings: Settings
    masks: ObjectMasks | None = None
    maps_before: Tensor | None = None
    maps_after: Tensor | None = None
    adapter: dict[str, Tensor] | None = None

    def save(self, folder: str | Path) -> Path:
        """Write video.mp4, overlay.mp4, attention.png, layout.json and report.json; return the folder.

        Without a layout (method base, and nothing to plan from the prompt) only the video and the report are written;
        without attention maps, which a method of one's own need not read, no attention.png.
        The folder's files change together or not at all. If they cannot be written or encoded, latents.safetensors is
        what is kept.

        Raises:
            UserError: If the folder cannot be written, or the encoder fails; SetupError if the disk is full.
        """
        folder = Path(folder)
        try:
            with files.staged(folder) as stage:
                self._write(stage)
                made = {path.name for path in stage.iterdir()}
        except UserError as error:
            try:
                kept = save_latents(self.latents, folder)
            except UserError:
                raise error from None
            problem = f"{error.problem}; the final latents are kept in {kept}"
            raise type(error)(problem, expected=error.expected, remedy=error.remedy) from error
        for name in (*FILES, LATENTS):  # of an earlier run into the same folder
            if name not in made:
                (folder / name).unlink(missing_ok=True)
        return folder

    def save_report(self, folder: str | Path) -> None:
        """Rewrite report.json beside a saved video. Raises UserError."""
        with files.disk_errors(folder):
            report = self.report.model_copy(update={"video_sha256": sha256(Path(folder) / "video.mp4")})
            report.save(Path(folder) / "report.json")

    def draw_attention(self, path: Path) -> bool:
        """Draw the attention maps over the video (attention.png); returns whether there were any to draw."""
        if self.layout is None or self.masks is None or self.maps_before is None:
            return False
        from ttom.figure import draw_attention

        stages = {"before": self.maps_before, "after": self.maps_after}
        maps = {stage: array.float().cpu().numpy() for stage, array in stages.items() if array is not None}
        names = [group.phrase for group in self.layout.groups()]
        draw_attention(path, self.report, names, self.video, self.masks.masks.float().cpu().numpy(), maps)
        return True

    def _write(self, folder: Path) -> None:
        from ttom.video import enlarge, write_video

        fps, enlarged = self.settings.sampler.fps, enlarge(self.video)
        write_video(enlarged, folder / "video.mp4", fps)
        if self.layout is not None:
            # Drawn after enlarging: thin lines and labels that can be read.
            import torch  # late, so that `ttom plan` does not wait for it

            from ttom.layout.draw import draw_boxes

            write_video(draw_boxes(torch.from_numpy(enlarged), self.layout).numpy(), folder / "overlay.mp4", fps)
            save_layout(self.layout, folder / "layout.json")
            self.draw_attention(folder / "attention.png")
        self.save_report(folder)


def save_latents(latents: Tensor, folder: Path) -> Path:
    """Keep final latents whose video could not be written; returns the file. Raises UserError."""
    from safetensors.torch import save

    path = folder / LATENTS
    with files.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, save({"latents": latents.detach().cpu().contiguous()}))
    return path


def sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
