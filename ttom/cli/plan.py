"""`ttom plan`: layouts of one prompt or many, planned or imported, without loading a video model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ttom import files
from ttom.cli.arguments import Plan
from ttom.cli.flags import with_flags
from ttom.cli.progress import ProgressDisplay
from ttom.errors import UserError
from ttom.layout.drafts import Limits
from ttom.layout.importers import import_file
from ttom.layout.model import load_layout, save_layout
from ttom.layout.planning import FailedPlan, Outcome, Planned, plan_prompt, plan_prompts
from ttom.layout.report import PlannerReport
from ttom.presets import DEFAULT_MODEL, find_preset, preset_for
from ttom.prompts import StreamPrompt, read_prompts
from ttom.types import VideoSize

RECORD, STREAM = "plan.jsonl", "prompts.jsonl"
_SUMMED = ("requests", "input_tokens", "output_tokens")
_NAMED_REFUSALS = 5  # printed on standard error; the record has all


@dataclass(frozen=True)
class _Job:
    """A prompt and its plan, or the error that it ended with; and what else the record says of it."""

    prompt: StreamPrompt
    outcome: Outcome
    about: dict[str, int] = field(default_factory=dict)


def plan(command: Plan) -> None:
    """Run `ttom plan`.

    Raises:
        UserError: options that do not go together, files that cannot be read or written, or no plan at all.
    """
    size = _size(command)
    _check_usage(command)
    if command.import_ is not None:
        _save_all(_imported(command), command, size)
    elif command.prompts is not None:
        _save_all(_planned(command, size), command, size)
    else:
        assert command.prompt is not None
        _save_one(plan_prompt(command.prompt, size.width / size.height, command.planner), command, size)


def _size(command: Plan) -> VideoSize:
    sampler = find_preset(preset_for(DEFAULT_MODEL) if command.preset is None else command.preset)().sampler
    width = sampler.width if command.width is None else command.width
    height = sampler.height if command.height is None else command.height
    if width < 1 or height < 1:
        raise UserError(f"the picture is {width} x {height}", expected="sides of at least 1 pixel")
    return VideoSize(sampler.frames, height, width)


def _check_usage(command: Plan) -> None:
    several = command.prompts is not None or command.import_ is not None
    if command.prompts is not None and (command.import_ is not None or command.prompt is not None):
        raise UserError("--prompts goes with neither PROMPT nor --import", expected="one source of prompts")
    if command.prompt is None and not several:
        raise UserError("there is nothing to plan", expected="PROMPT, --prompts FILE or --import FILE")
    if command.canvas is not None and (command.import_ is None or min(command.canvas) < 1):
        raise UserError(
            "--canvas is the size in pixels that imported boxes were drawn on",
            expected="two numbers of at least 1, with --import FILE",
        )
    if several and command.out is None:
        raise UserError("several layouts need a folder", expected="--out DIR")
    if command.out is not None:
        files.check_folder(command.out if several else command.out.parent)
    if command.draw is not None:
        files.check_folder(command.draw.parent)
        if command.draw.suffix.lower() != ".png":
            raise UserError(
                f"--draw names {command.draw.name}",
                expected="a name in .png for the contact sheet; the GIF gets the same name",
            )


# -- one layout -------------------------------------------------------------------------------------------------------


def _save_one(planned: Planned, command: Plan, size: VideoSize) -> None:
    layout = planned.layout
    if command.out is None:
        print(layout.model_dump_json(indent=2))
    else:
        command.out.parent.mkdir(parents=True, exist_ok=True)
        save_layout(layout, command.out)
        print(f"layout: {command.out}")
    if command.draw is not None:
        from ttom.layout.draw import layout_sheet, save_animation

        animation = command.draw.with_suffix(".gif")
        with files.staged(command.draw.parent) as stage:
            layout_sheet(layout, size).save(stage / command.draw.name, format="png")
            save_animation(layout, size, stage / animation.name)
        for path in (command.draw, animation):
            print(f"picture: {path}", file=sys.stdout if command.out else sys.stderr)
    for note in (*layout.notes, *(f"not planned: {what}" for what in layout.left_out)):
        print(f"note: {note}", file=sys.stderr)
    if planned.report.planner == "llm":
        print(f"note: {_spent([planned])}", file=sys.stderr)


# -- many layouts -----------------------------------------------------------------------------------------------------


def _planned(command: Plan, size: VideoSize) -> list[_Job]:
    assert command.prompts is not None
    prompts = read_prompts(command.prompts)
    texts = [prompt.text for prompt in prompts if prompt.layout is None]
    with ProgressDisplay(quiet=command.quiet) as progress:
        progress("plan", 0, len(set(texts)))
        count = partial(progress.advance, "plan")
        outcomes = iter(plan_prompts(texts, size.width / size.height, command.planner, count))
    jobs = []
    for prompt in prompts:  # prompts with a layout file keep it
        jobs.append(_Job(prompt, next(outcomes) if prompt.layout is None else _own_layout(prompt.layout)))
    return jobs


def _own_layout(path: Path) -> Outcome:
    try:
        return Planned(load_layout(path), PlannerReport(planner="file"))
    except UserError as error:
        return error


def _imported(command: Plan) -> list[_Job]:
    assert command.import_ is not None
    planner = command.planner
    rows = import_file(
        command.import_,
        Limits(planner.min_size, planner.max_speed),
        prompt=command.prompt,
        canvas=command.canvas,
        text=planner.video_text,
    )
    jobs = []
    for number, row in enumerate(rows, start=1):
        outcome: Outcome = UserError("; ".join(row.checked.problems))
        if row.checked.layout is not None:
            outcome = Planned(row.checked.layout, row.report)
        about = {"answer": row.taken, "answers": row.answers}
        jobs.append(_Job(StreamPrompt(number, row.prompt), outcome, about))
    return jobs


def _save_all(jobs: list[_Job], command: Plan, size: VideoSize) -> None:
    """Write one layout file per prompt, the record, and the prompts file for `ttom stream`; print a summary."""
    assert command.out is not None
    folder = command.out
    record, stream, planned = [], [], []
    with files.staged(folder) as stage:
        for job in jobs:
            name = {"number": job.prompt.number, "id": job.prompt.id, "prompt": job.prompt.text}
            if isinstance(job.outcome, UserError):
                report = _report(job.outcome)
                spent = report.as_record() if report is not None else {}
                record.append({**name, "status": "refused", "error": str(job.outcome), **spent})
                continue
            file, layout = f"{job.prompt.folder}.json", job.outcome.layout
            save_layout(layout, stage / file)
            planned.append(job)
            status = "fallback" if job.outcome.report.fallback else "planned"
            record.append({**name, "status": status, "layout": file, **job.about, **job.outcome.report.as_record()})
            row = {"prompt": layout.prompt, "id": job.prompt.id, "seed": job.prompt.seed, "layout": file}
            stream.append({key: value for key, value in row.items() if value is not None})
        _write_lines(stage / RECORD, record)
        if stream:
            _write_lines(stage / STREAM, stream)
        if command.draw is not None:
            _draw_all(planned, stage, command.draw, size)
    _say_done(jobs, command)


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def _draw_all(jobs: list[_Job], folder: Path, sheet: Path, size: VideoSize) -> None:
    """A GIF next to each layout, and the pages of the contact sheet: sheet.png, sheet-2.png, ..."""
    from ttom.layout.draw import PAGE_ROWS, layouts_page, save_animation

    layouts = []
    for job in jobs:
        assert isinstance(job.outcome, Planned)
        layouts.append(job.outcome.layout)
        save_animation(layouts[-1], size, folder / f"{job.prompt.folder}.gif")
    with files.staged(sheet.parent) as stage:
        for page, first in enumerate(range(0, len(layouts), PAGE_ROWS), start=1):
            name = sheet.name if page == 1 else f"{sheet.stem}-{page}.png"
            layouts_page(layouts[first : first + PAGE_ROWS], size).save(stage / name, format="png")


def _say_done(jobs: list[_Job], command: Plan) -> None:
    refused = [(job, job.outcome) for job in jobs if isinstance(job.outcome, UserError)]
    planned = [job.outcome for job in jobs if isinstance(job.outcome, Planned)]
    fallbacks = sum(bool(outcome.report.fallback) for outcome in planned)
    verb = "imported" if command.import_ is not None else "planned"
    rules = f", {fallbacks} of them by the rules planner instead of the LLM" if fallbacks else ""
    print(f"{len(planned)} of {len(jobs)} {verb}{rules}; record: {Path(command.out or '.') / RECORD}")
    if command.planner.kind == "llm" and command.import_ is None:
        print(_spent([job.outcome for job in jobs]))
    for job, error in refused[:_NAMED_REFUSALS]:
        print(f"note: {job.prompt.folder} was refused: {with_flags(error.problem.splitlines()[0])}", file=sys.stderr)
    if len(refused) > _NAMED_REFUSALS:
        print(f"note: {len(refused) - _NAMED_REFUSALS} more were refused; see the record", file=sys.stderr)
    if not planned:
        raise UserError(f"no prompt could be {verb}; the first error: {refused[0][1]}")
    if command.draw is not None:
        print(f"pictures: {command.draw}, and GIFs next to the layouts")


def _report(outcome: Outcome) -> PlannerReport | None:
    """The report on planning; None for prompts that were refused before they cost anything."""
    return outcome.report if isinstance(outcome, Planned | FailedPlan) else None


def _spent(outcomes: Sequence[Outcome]) -> str:
    """What the LLM planner used, failed plans included: requests, tokens, and dollars if the prices are known."""
    reports = [report for report in map(_report, outcomes) if report is not None and report.planner == "llm"]
    requests, sent, received = (sum(getattr(report, name) for report in reports) for name in _SUMMED)
    costs = [report.cost_usd for report in reports if report.cost_usd is not None]
    cost = "" if len(costs) < len(reports) else f", {sum(costs):.4f} USD"
    cached = sum(report.cached for report in reports)
    kept = f"; {cached} from the cache" if cached else ""
    return f"{requests} requests, {sent} tokens sent, {received} received{cost}{kept}"
