"""What ``report.json`` holds: a versioned record, whose JSON schema is written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from eval.types import Record

REPORT_VERSION: Literal[1] = 1
Method = Literal["bootstrap", "wilson"]
By = Literal["all", "category", "direction", "relation", "count"]


class ColumnSummary(Record):
    """A metric by one kind of judge.

    Attributes:
        proxy: True if anything but the official judge models answered.
        binary: True if every score is yes or no.
        higher_is_better: False for errors and distances.
    """

    metric: str
    proxy: bool
    binary: bool
    higher_is_better: bool


class ProblemCount(Record):
    """Something that was left out, how often, and where it was first met."""

    what: str
    count: int
    example: str


class RunSummary(Record):
    """One run of the report.

    Attributes:
        missing: Cases that other runs have and this one lacks.
        seconds: Mean seconds for a video; None where the run does not say.
        peak_bytes: Largest peak memory of a video.
    """

    label: str
    folder: str
    method: str
    model: str
    model_digest: str
    settings_hash: str
    identity: str
    memory_digest: str | None
    streaming: bool
    settings: dict[str, Any]
    provenance: dict[str, Any]
    made: int
    refused: int
    failed: int
    missing: int
    seconds: float | None
    peak_bytes: int | None
    devices: tuple[str, ...]
    problems: tuple[ProblemCount, ...]

    def with_problems(self, problems: Mapping[str, Any]) -> RunSummary:
        """With these problems in place of the present ones."""
        counts = tuple(ProblemCount(**vars(problem)) for problem in problems.values())
        return self.model_copy(update={"problems": counts})


class Difference(Record):
    """A run's scores minus the baseline's, over the cases that both have.

    Attributes:
        n: Number of pairs.
        low: End of the 95% interval; None where the bootstrap is a point: the pairs are of one prompt, or all differ by
            the same amount.
        better: Pairs in which the run is better than the baseline.
        p: Two-sided p-value of McNemar's exact test; None unless the scores are yes or no and no two pairs are of one
            prompt.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    better: int
    worse: int
    p: float | None = None


class Cell(Record):
    """One metric of one run, over all cases or over one group of them.

    Attributes:
        by: What the cases are grouped by. A case with two directions counts in both.
        cases: Cases that the metric applies to.
        n: Cases with a score. ``cases - n`` were excluded, for the reasons in ``excluded``.
        mean: None where no case has a score: the cell is missing.
        low: End of the 95% interval; None below two scores, and where the bootstrap is a point: the scores are of one
            prompt, or all prompts have the same mean.
        interval: How the interval was made: Wilson's where all scores are 0 or all are 1.
    """

    run: str
    metric: str
    proxy: bool
    by: By
    group: str
    cases: int
    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    interval: Method | None = None
    excluded: dict[str, int] = Field(default_factory=dict)
    difference: Difference | None = None


class Average(Record):
    """The plain mean of a run's category means, as both benchmarks report it; None if a category is missing."""

    run: str
    metric: str
    proxy: bool
    categories: int
    mean: float | None


class PublishedColumn(Record):
    """A column of a published table; ``id`` is the name of our metric, or of a mean over metrics."""

    id: str
    name: str


class PublishedRow(Record):
    """A published row.

    Attributes:
        origin: Who measured it, as far as the paper says.
    """

    label: str
    values: tuple[float, ...]
    origin: str


class OwnRow(Record):
    """Official scores of a run of this report in the columns of a published table; None where there is none."""

    label: str
    values: tuple[float | None, ...]


class PublishedTable(Record):
    """A table of the paper, with its place there.

    Attributes:
        suite: Suites whose names begin so have this table.
        own: Runs of this report that have official scores. Proxy scores are never put here.
    """

    suite: str
    title: str
    source: str
    note: str = ""
    columns: tuple[PublishedColumn, ...]
    rows: tuple[PublishedRow, ...]
    own: tuple[OwnRow, ...] = ()


class Published(Record):
    """The paper's own numbers."""

    paper: str
    version: str
    note: str
    tables: tuple[PublishedTable, ...]


class Report(Record):
    """A comparison of runs of one suite.

    Attributes:
        dropped: Prompts that the suite left out before any run, by category.
    """

    version: Literal[1] = REPORT_VERSION
    suite: str
    suite_revision: str
    baseline: str
    cases: int
    categories: tuple[str, ...]
    dropped: dict[str, int] = Field(default_factory=dict)
    columns: tuple[ColumnSummary, ...]
    runs: tuple[RunSummary, ...]
    cells: tuple[Cell, ...]
    averages: tuple[Average, ...]
    published: Published
    provenance: dict[str, Any] = Field(default_factory=dict)


def report_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``report.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema()}
