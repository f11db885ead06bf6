"""What is known of a run: the order as given, and how far it is. run.json in its folder holds it across restarts."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ttom import checkpoints, files
from ttom.layout.limits import MAX_PROMPT
from ttom.studio.errors import Refused, not_found

RECORD, PLAN = "run.json", "plan.json"
"""The record, and the layout as it was given; layout.json is the finished run's."""
LORA = "lora"
"""Folder of an optimized LoRA, in the run's folder."""
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{6}")
SHOWN = (
    "video.mp4", "base.mp4", "overlay.mp4", "layout.json", "plan.json", "report.json", "attention.png",
    "attention.json", "preview.png", "latents.safetensors",
)  # fmt: skip
"""Files of a run that a client may have, besides the attention maps of its blocks."""
MAP = re.compile(r"map-(before|after|[0-9]{1,3})\.png")
FINAL = ("done", "cancelled", "failed")
MAX_RUNS = 500
"""Runs of the history that are shown, the newest first."""
MAX_LOSSES = 20_000

State = Literal["queued", "running", "done", "cancelled", "failed"]
Short = Annotated[str, Field(max_length=2000)]
Value = bool | int | float | Short


class Problem(BaseModel):
    """An error, as every answer has it."""

    model_config = ConfigDict(frozen=True)

    problem: Short
    expected: Short | None = None
    remedy: Short | None = None


class Order(BaseModel):
    """What is asked for.

    Attributes:
        prompt: What the video shows.
        method: Name of the guidance method.
        preset: Name of the settings; None for the model's own.
        settings: Values of single settings by dotted name.
        seed: Of the noise.
        compare: Also make the plain model's video with the same seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: Annotated[str, Field(max_length=MAX_PROMPT)]
    method: Annotated[str, Field(max_length=200)] = "ttom"
    preset: Annotated[str | None, Field(max_length=200)] = None
    settings: Annotated[dict[Annotated[str, Field(max_length=100)], Value | None], Field(max_length=100)] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    compare: Annotated[bool, Field(strict=True)] = False


class RunRecord(BaseModel):
    """A run as run.json has it; times are seconds since 1970, or durations in seconds."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=f"^{ID.pattern}$")]
    order: Order
    state: State = "queued"
    created: float
    step: int = 0
    steps: int = 0
    losses: Annotated[tuple[float, ...], Field(max_length=MAX_LOSSES)] = ()
    seconds: float = 0.0
    preview: int = 0
    check: Short | None = None
    error: Problem | None = None

    def save(self, out: Path) -> None:
        """Write run.json, whole or not at all. Raises SetupError."""
        with files.disk_errors(out):
            files.write_json(out / self.id / RECORD, self.model_dump(mode="json"))

    def as_json(self, out: Path, **live: Any) -> dict[str, Any]:
        """What a client gets; ``live`` is what only the queue knows."""
        order = self.order.model_dump(mode="json")
        known = self.model_dump(mode="json", exclude={"version", "order"})
        waiting: dict[str, Any] = {"position": 0, "phase": self.state, "seconds_left": None}
        return {**order, **known, **waiting, "files": names(out / self.id), **live}


def new_id() -> str:
    """The time in UTC to the microsecond, so that ids sort by time."""
    now = time.time_ns()
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now // 10**9))}-{now // 1000 % 10**6:06d}"


def names(folder: Path) -> list[str]:
    """The files of a run that a client may have."""
    try:
        return sorted(path.name for path in folder.iterdir() if is_shown(path.name) and path.is_file())
    except OSError:
        return []


def is_shown(name: str) -> bool:
    return name in SHOWN or MAP.fullmatch(name) is not None


def folder_of(out: Path, id_: str) -> Path:
    """The folder of a run. Raises Refused for what is no id, or no run: no other path is ever opened."""
    if not ID.fullmatch(id_) or not (out / id_ / RECORD).is_file() or (out / id_).is_symlink():
        raise not_found("run of this id")
    return out / id_


def file_of(out: Path, id_: str, name: str) -> Path:
    """A file of a run. Raises Refused."""
    path = folder_of(out, id_) / name if is_shown(name) else None
    if path is None or path.is_symlink() or not path.is_file():
        raise not_found("such file of this run")
    return path


def load(out: Path, id_: str) -> RunRecord:
    """Read a run's record. Raises Refused if there is none that can be read."""
    file = folder_of(out, id_) / RECORD
    try:
        record = RunRecord.model_validate(checkpoints.read_json(file))
    except (OSError, ValueError, ValidationError):
        raise Refused(404, "the record of this run cannot be read", remedy=f"look at {file}") from None
    if record.id != id_:
        raise not_found("run of this id")
    return record


def history(out: Path) -> list[RunRecord]:
    """All runs that can be read, newest first."""
    try:
        ids = sorted((path.name for path in out.iterdir() if ID.fullmatch(path.name)), reverse=True)
    except OSError:
        return []
    found = []
    for id_ in ids[:MAX_RUNS]:
        try:
            found.append(load(out, id_))
        except Refused:
            continue
    return found


def remove(out: Path, id_: str) -> None:
    """Delete the files that a run made, the record last; what others put there stays, and its folder then too."""
    folder = folder_of(out, id_)
    with files.disk_errors(folder):
        lora = folder / LORA
        if lora.is_dir() and not lora.is_symlink():
            for name in ("README.md", "pytorch_lora_weights.safetensors"):
                (lora / name).unlink(missing_ok=True)
            if not any(lora.iterdir()):
                lora.rmdir()
        for name in names(folder):
            (folder / name).unlink(missing_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
