"""A finished run as judges and scores see it: its cases, their videos, and the layouts that these should follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from eval.judges.protocol import Video
from eval.manifest import CASES, HEADER, MANIFEST, VIDEOS, last_rows, read_header
from eval.metrics.registry import Subject
from eval.planned import digest
from eval.types import ManifestRow, RunHeader, ScoreRow
from ttom import files
from ttom.errors import UserError
from ttom.layout.model import Layout, load_layout

SCORES = "scores.jsonl"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        rows: The last manifest row of each case, by case id.
    """

    path: Path
    header: RunHeader
    rows: dict[str, ManifestRow]

    def video(self, row: ManifestRow) -> Video | None:
        """The video of a row; None if none was made, or if its path leads out of the run."""
        if row.status != "made" or not row.video or not row.sha256:
            return None
        path = self.path / VIDEOS / row.video
        inside = path.resolve().is_relative_to(self.path.resolve())
        return Video(path, row.sha256, row.frames) if inside else None

    def subject(self, row: ManifestRow, *, parity: bool = True) -> Subject:
        """The row with its layout: the case's own, or the one that was planned for the run.

        Raises:
            UserError: The layout file is broken.
        """
        layout = row.case.layout or self._planned(row)
        return Subject(row, layout, parity)

    def _planned(self, row: ManifestRow) -> Layout | None:
        path = self.path / CASES / row.case.id / "layout.json"
        return load_layout(path) if path.is_file() else None


def load_run(path: Path) -> Run:
    """Read a run.

    Raises:
        UserError: It has no header or manifest, or the manifest is that of another suite, model or settings.
    """
    header = read_header(path)
    check_has_manifest(path)
    rows = last_rows(path)
    strangers = [row.case for row in rows.values() if row.case.suite != header.suite]
    if strangers:
        raise UserError(
            f"the manifest of {path} holds {strangers[0].id!r} of the suite {strangers[0].suite}, "
            f"but the run is one of {header.suite}",
            expected="a manifest of the run's own suite",
            remedy="do not mix the files of two runs",
        )
    run = Run(path, header, rows)
    foreign = next(
        (row for row in rows.values() if not belongs(header, row, lambda row: run.subject(row).layout)), None
    )
    if foreign is not None:
        raise UserError(
            f"the manifest of {path} holds {foreign.case.id!r} of another run: its model or settings are not those of "
            f"{HEADER}",
            expected="the manifest that was written with this header",
            remedy="do not mix the files of two runs",
        )
    return run


def check_has_manifest(path: Path) -> None:
    """Raise UserError if a run folder has no manifest."""
    if not (path / MANIFEST).is_file():
        raise UserError(f"{path} has no {MANIFEST}", expected="a run of eval.replay", remedy="run eval.replay first")


def belongs(header: RunHeader, row: ManifestRow, find_layout: Callable[[ManifestRow], Layout | None]) -> bool:
    """Whether a row was written for a run with this header; see `PlannedCase.identity`.

    Args:
        find_layout: The layout of a row, looked up only where it decides: where the planner may have enriched the
            prompt, which its settings say.
    """

    def identity(prompt: str) -> str:
        return digest([header.identity, row.case.id, prompt, row.case.seed, row.layout_hash])

    if row.identity == identity(row.case.prompt):
        return True
    planner = header.settings.get("planner", {})
    if planner.get("kind") == "rules" or planner.get("video_text") == "original":
        return False
    layout = find_layout(row)
    return layout is not None and row.identity == identity(layout.prompt)


def load_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs. Raises UserError if there are none, or for the reasons of `load_run`."""
    if not paths:
        raise UserError("no runs were given", expected="at least one run folder")
    return [load_run(path) for path in paths]


def write_scores(run: Run, rows: Iterable[ScoreRow], *, proxy: bool) -> Path:
    """Replace the proxy scores of a run, or its official ones; the others stay.

    Raises:
        UserError: The file cannot be written, or what is there is not a scores file.
    """
    path = run.path / SCORES
    kept = [row for row in read_scores(path) if row.proxy != proxy]
    lines = [row.model_dump_json() for row in [*kept, *rows]]
    with files.disk_errors(path, "free up space there"):
        files.write_text(path, "".join(f"{line}\n" for line in lines))
    return path


def read_scores(path: Path) -> list[ScoreRow]:
    """The rows of a scores file; none if there is no file. Raises UserError if it is broken."""
    try:
        with open(path, "rb") as file:
            return [ScoreRow.model_validate_json(line) for line in file]
    except FileNotFoundError:
        return []
    except ValidationError:
        raise UserError(
            f"{path} is not a scores file",
            expected="lines that eval.score wrote",
            remedy="move it away and score again",
        ) from None
