"""What report.json holds: typed and versioned.

Readers take a `Report`, never a dictionary. Its JSON schema is `report_schema()`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ttom import files
from ttom.check.report import CheckReport
from ttom.config import MemoryMode, MemoryUse, RuntimeConfig, SamplerConfig, Settings
from ttom.errors import UserError
from ttom.layout.report import PlannerReport
from ttom.types import ReportPart

REPORT_VERSION: Literal[1] = 1


class TTOReport(ReportPart):
    """What test-time optimization did: for each guided step the loss of each iteration, before its update."""

    blocks: tuple[int, ...]
    losses: tuple[tuple[float, ...], ...]
    loss_first: float
    loss_last: float

    @classmethod
    def of(cls, blocks: tuple[int, ...], losses: list[list[float]]) -> TTOReport | None:
        """What the report says of these losses; None if there are none."""
        if not losses:
            return None
        steps = tuple(tuple(step) for step in losses)
        return cls(blocks=blocks, losses=steps, loss_first=steps[0][0], loss_last=steps[-1][-1])


class MemoryMatch(ReportPart):
    """An entry that was read."""

    id: int
    key: str
    similarity: float


class MemoryReport(ReportPart):
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


class Seconds(ReportPart):
    """Wall time of the stages; None for a stage that the run does not have. ``load`` is 0 if the model was there."""

    plan: float | None = None
    load: float | None = None
    optimize: float | None = None
    sample: float | None = None
    decode: float | None = None
    check: float | None = None
    total: float


class SettingsReport(ReportPart):
    """The preset's name, what differs from it by dotted field name, and every value that held in the end."""

    preset: str
    given: dict[str, Any]
    resolved: Settings


class Provenance(ReportPart):
    """Where a result comes from. Commit and dirty are None where they are not known."""

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


class Report(ReportPart):
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
