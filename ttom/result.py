"""What a run hands back: the video with its typed report, and the files that both become.

A report is versioned: readers take a `Report`, never a dictionary. Its JSON schema is `report_schema()`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ttom import files
from ttom.check.report import CheckReport
from ttom.config import MemoryMode, MemoryUse, RuntimeConfig, SamplerConfig, Settings, VideoText
from ttom.errors import UserError
from ttom.layout.model import Layout, save_layout
from ttom.types import ObjectMasks

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


REPORT_VERSION: Literal[1] = 1
FILES = ("video.mp4", "overlay.mp4", "attention.png", "layout.json", "report.json")
"""Names of the files of a saved result."""
LATENTS = "latents.safetensors"
"""Final latents of a run whose video could not be decoded or written."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class PlannerReport(_Part):
    """How the layout was planned: by "rules", "llm" or a function's name. The fields after ``notes`` are the LLM's."""

    planner: str
    notes: tuple[str, ...] = ()
    model: str | None = None
    stages: tuple[str, ...] = ()
    stage_texts: str | None = None
    enriched_prompt: str | None = None
    video_text: VideoText = "original"
    answer_form: str | None = None
    requests: int = 0
    repairs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    seconds: float | None = None
    cached: bool = False
    fallback: str | None = None
    changes: tuple[str, ...] = ()
    boxes: int | None = None
    boxes_out_of_bounds: int | None = None
    cache_error: str | None = None


class TTOReport(_Part):
    """What test-time optimization did: for each guided step the loss of each iteration, before its update."""

    blocks: tuple[int, ...]
    losses: tuple[tuple[float, ...], ...]
    loss_first: float
    loss_last: float

    @classmethod
    def of(cls, blocks: tuple[int, ...], losses: list[list[float]]) -> TTOReport | None:
        """None where there is no loss."""
        if not losses:
            return None
        steps = tuple(tuple(step) for step in losses)
        return cls(blocks=blocks, losses=steps, loss_first=steps[0][0], loss_last=steps[-1][-1])


class MemoryMatch(_Part):
    """An entry that was read."""

    id: int
    key: str
    similarity: float


class MemoryReport(_Part):
    """How a run used the memory.

    Attributes:
        key: The abstracted prompt.
        hit: Whether an entry was similar enough.
        similarity: Of the most similar entry, also where it was not similar enough; None in an empty memory.
        used: How the match was used; None without one.
        inserted: The entry made of this run.
        updated: Entries that this run changed.
    """

    mode: MemoryMode
    key: str
    hit: bool
    used: MemoryUse | None
    similarity: float | None = None
    matches: tuple[MemoryMatch, ...] = ()
    inserted: int | None = None
    updated: tuple[int, ...] = ()


class Seconds(_Part):
    """Wall time of the stages; None for a stage that the run does not have. ``load`` is 0 if the model was there."""

    plan: float | None = None
    load: float | None = None
    optimize: float | None = None
    sample: float | None = None
    decode: float | None = None
    check: float | None = None
    total: float


class SettingsReport(_Part):
    """The preset's name, what differs from it by dotted field name, and every value that held in the end."""

    preset: str
    given: dict[str, Any]
    resolved: Settings


class Provenance(_Part):
    """Where a result comes from. The commit is None outside a checkout; dirty is None if that is not known."""

    commit: str | None
    dirty: bool | None
    versions: dict[str, str | None]
    device: str
    device_name: str
    platform: str
    date: str
    dtype: str
    runtime: RuntimeConfig
    settings: SettingsReport


class Report(_Part):
    """What report.json holds.

    Attributes:
        prompt: As given.
        video_prompt: The text the video was made from: the prompt, or what the planner enriched it to.
        model: As named by the user.
        model_digest: Digest of the model's weights (`provenance.model_digest`); None if they cannot be found.
        identity: Digest of all that decides the video (`identity`): equal reports describe the same case.
        layout_source: Who planned the layout; None without one.
        layout_digest: Digest of the layout's content.
        left_out: Parts of the prompt that the planned layout does not show.
        unknown_words: Words of the prompt that the model has no token for.
        cut_off: The end of the prompt that the model does not read.
        check: The video compared with its layout; None where nobody looked. Its seed is the video's, which is not the
            one asked for where several were tried.
        peak_bytes: Peak memory: of the GPU, or of this process.
        settings_hash: Hash of the settings that decide the video (`settings_hash`).
        video_sha256: Digest of the written video.mp4; None if it was not written.
    """

    version: Literal[1] = REPORT_VERSION
    prompt: str
    video_prompt: str
    model: str
    model_digest: str | None
    method: str
    seed: int
    identity: str
    layout_source: str | None
    layout_digest: str | None
    left_out: tuple[str, ...] = ()
    unknown_words: tuple[str, ...] = ()
    cut_off: str = ""
    planner: PlannerReport | None
    sampler: SamplerConfig
    tto: TTOReport | None
    memory: MemoryReport | None
    check: CheckReport | None = None
    seconds: Seconds
    peak_bytes: int | None
    settings_hash: str
    provenance: Provenance
    video_sha256: str | None = None

    def save(self, path: str | Path) -> None:
        """Write the report as strict JSON, whole or not at all. Raises OSError."""
        files.write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a report. Raises UserError if the file is missing, broken or of another version."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"there is no report {path}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"the report {path} cannot be read: {error}") from None
        version = data.get("version") if isinstance(data, dict) else None
        if version != REPORT_VERSION:
            raise UserError(f"the report {path} has version {version!r}", expected=f"version {REPORT_VERSION}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"the report {path} is not valid: {where}: {first['msg']}") from None


def report_schema() -> dict[str, Any]:
    """The JSON schema of report.json."""
    return Report.model_json_schema()


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
        """Write report.json anew beside a saved video. Raises UserError."""
        with files.disk_errors(folder):
            report = self.report.model_copy(update={"video_sha256": sha256(Path(folder) / "video.mp4")})
            report.save(Path(folder) / "report.json")

    def _write(self, folder: Path) -> None:
        from ttom.video import enlarge, write_video

        fps, enlarged = self.settings.sampler.fps, enlarge(self.video)
        write_video(enlarged, folder / "video.mp4", fps)
        if self.layout is not None:
            # Drawn after enlarging: thin lines and labels that can be read.
            import torch  # late: `ttom plan` shall not wait for it

            from ttom.figure import draw_attention
            from ttom.layout.draw import draw_boxes

            write_video(draw_boxes(torch.from_numpy(enlarged), self.layout).numpy(), folder / "overlay.mp4", fps)
            save_layout(self.layout, folder / "layout.json")
            if self.maps_before is not None:
                draw_attention(self, folder / "attention.png")
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
