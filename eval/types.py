"""What the programs of the harness hand to each other, as versioned pydantic models.

A run is a folder::

    RUN/run.json            RunHeader
    RUN/manifest.jsonl      ManifestRow, a line as each case is done; a later line of a case replaces earlier ones
    RUN/videos/FOLDER/NAME  the videos, named as the official toolkits expect, with nothing else in these folders
    RUN/cases/CASE_ID/      layout.json, report.json, attention.png, what a person wants to look at
    RUN/scores.jsonl        ScoreRow, written by eval.score

Videos of models with far fewer than 480 rows are enlarged by a whole factor, each pixel to a block, as `ttom generate`
writes them; the mean of each block is the model's own pixel, but for the encoding. Judges' answers live outside the
run, in an answer cache keyed by (video sha256, judge, version, question).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ttom.layout.model import Layout

RUN_VERSION: Literal[1] = 1
Status = Literal["made", "refused", "failed"]


class Record(BaseModel):
    """A frozen record whose unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Case(Record):
    """One prompt of a suite, with everything that decides what its video should show.

    Attributes:
        id: Unique in the suite and never reused, such as "motion_binding-0001".
        suite: Name of the suite.
        category: Category, dimension or kind within the suite.
        prompt: The text of the video.
        seed: Seed of the noise; belongs to the case, not to its place in a list.
        video: Path below RUN/videos that the official toolkit expects, such as "motion_binding/0001.mp4".
        facts: What metrics need to know, by the names that the suite's metrics read.
        layout: The true or given layout; None to let the planner make one.
    """

    id: str
    suite: str
    category: str
    prompt: str
    seed: int
    video: str
    facts: dict[str, Any] = Field(default_factory=dict)
    layout: Layout | None = None


class RunHeader(Record):
    """What all videos of a run share. Another setting is another run, never a mixture.

    Attributes:
        label: Name of the method in tables, such as "ttom" or "ttom + memory".
        source: Where the suite's data came from.
        dtype: As asked for; "auto" leaves it to the model and the device.
        runtime: How the model runs (`ttom.config.RuntimeConfig`).
        identity: Hash of suite, suite revision, model digest, method, settings, dtype, runtime and memory digest; of a
            streaming run its window in place of the digest.
        memory_digest: Digest of the memory before the run; None without one.
        window: Prompts of a streaming run that are under way at a time.
        dropped: Prompts that the suite left out: "category", "prompt", "reason".
    """

    version: Literal[1] = RUN_VERSION
    label: str
    suite: str
    suite_revision: str
    model: str
    model_digest: str
    method: str
    settings: dict[str, Any]
    settings_hash: str
    identity: str
    memory_digest: str | None = None
    streaming: bool = False
    source: str = ""
    dtype: str = "auto"
    runtime: dict[str, Any] = Field(default_factory=dict)
    window: int | None = None
    dropped: tuple[dict[str, str], ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)


class ManifestRow(Record):
    """One case of a run: the video made of it, or why there is none.

    Attributes:
        identity: Hash of the run's identity, case id, prompt, seed and layout: resume goes by this.
        sha256: Of the video file; answers of judges are keyed by it.
        memory_entries: Ids of the memory entries that were read.
        seconds: Seconds of each stage, with "total".
        error: Why the case was refused or failed.
    """

    identity: str
    case: Case
    status: Status
    video: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    frames: int | None = None
    fps: int | None = None
    width: int | None = None
    height: int | None = None
    layout_hash: str | None = None
    memory_entries: tuple[str, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)
    peak_bytes: int | None = None
    device: str | None = None
    error: str | None = None


class Question(Record):
    """What a judge is asked about one video; equal questions share an answer.

    Attributes:
        kind: Such as "detect", "segment", "depth", "track" or "vqa".
        text: Phrase, noun or prompt that the judge gets; empty where the kind needs none.
        options: Further inputs that change the answer (thresholds, frame numbers, temperature, seed).
    """

    kind: str
    text: str = ""
    options: dict[str, Any] = Field(default_factory=dict)


class Answer(Record):
    """A judge's answer about one video.

    Attributes:
        judge: Name of the judge.
        judge_version: Changes whenever the judge might answer differently (weights' digest, model name).
        value: Plain JSON; each kind of question documents its form.
        cost: US dollars; None where unknown or free.
    """

    video_sha256: str
    judge: str
    judge_version: str
    question: Question
    value: Any
    seconds: float = 0.0
    cost: float | None = None


class ScoreRow(Record):
    """One metric of one case in one run.

    Attributes:
        value: The score; None if excluded.
        excluded: Why the case does not count in the mean (unparsable answer, missing video); None if it counts.
        proxy: True if anything but the official judge models answered. Proxy and official scores never share a column.
        binary: True for yes/no scores, which get Wilson intervals and McNemar's test.
    """

    run: str
    case_id: str
    suite: str
    category: str
    metric: str
    value: float | None
    excluded: str | None = None
    proxy: bool = True
    binary: bool = False
