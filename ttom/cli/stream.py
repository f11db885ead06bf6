"""`ttom stream`: the prompts of a file one after the other, with one model and one memory."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from ttom.cli.arguments import Stream
from ttom.cli.commands import file_layout, hush_libraries, out_of_memory_errors
from ttom.cli.flags import with_flags
from ttom.cli.progress import LABELS
from ttom.errors import SetupError, UserError
from ttom.files import check_folder, disk_errors, write_text
from ttom.pipeline import TTOM
from ttom.prompts import StreamPrompt, read_prompts
from ttom.result import Report, Result
from ttom.types import Stage

RECORD = "stream.jsonl"
NEEDED = ("report.json", "video.mp4")
"""Files without which a folder is not finished."""


@dataclass(frozen=True)
class _Job:
    """A prompt with its seed and its folder."""

    prompt: StreamPrompt
    seed: int
    folder: Path


def stream(command: Stream) -> None:
    """Run `ttom stream`. The file is read and the model loaded before the first prompt.

    An interrupted run keeps what is done; the one prompt in the works may have entered the memory already, in which
    case it finds itself there when it is made again.

    Raises:
        UserError: If the file, the folder or the model cannot be used, or if every prompt was refused.
    """
    prompts = read_prompts(command.prompts)
    check_folder(command.out)
    hush_libraries()
    runner = TTOM(
        command.model, device=command.device, dtype=command.dtype, preset=command.preset, runtime=command.runtime
    )
    jobs = [
        _Job(prompt, command.seed if prompt.seed is None else prompt.seed, command.out / prompt.folder)
        for prompt in prompts
    ]
    rows = _finished_rows(jobs, command)
    with _Display(len(jobs), quiet=command.quiet) as display:
        todo = [job.prompt.text for job in jobs if job.prompt.number not in rows and job.prompt.layout is None]
        if command.settings.planner.kind == "llm" and todo:  # together, so that requests overlap
            display("plan", 0, len(set(todo)))
            runner.plan_ahead(todo, command.settings, done=display.one_more)
        if len(rows) < len(jobs):
            display("load", 0, 1)
            runner.load()
        for job in jobs:
            if job.prompt.number not in rows:
                rows[job.prompt.number] = _make(job, runner, command, display)
                _record(rows, command.out)
            display.next()
    _record(rows, command.out)
    _say_done(jobs, rows, command)


def _make(job: _Job, runner: TTOM, command: Stream, display: _Display) -> dict[str, Any]:
    """Make the video of a prompt, or learn why it cannot be made; what the record says of it."""
    try:
        with out_of_memory_errors(command.dtype, command.runtime):
            result = runner.generate(
                job.prompt.text,
                method=command.method,
                seed=job.seed,
                layout=file_layout(job.prompt.layout) if job.prompt.layout is not None else None,
                settings=command.settings,
                progress=display,
            )
    except SetupError:  # it would meet all the others too
        raise
    except UserError as error:
        return {**_name(job), "status": "refused", "error": str(error)}
    _save(result, job.folder)
    return _row(job, result.report, "made")


def _save(result: Result, folder: Path) -> None:
    # Files move into the folder one by one: beside those of another prompt, a kill between two would mix them.
    for name in NEEDED:
        (folder / name).unlink(missing_ok=True)
    result.save(folder)


def _finished_rows(jobs: list[_Job], command: Stream) -> dict[int, dict[str, Any]]:
    """Rows, by number, of the prompts whose folders are finished; notes those that other settings made."""
    rows, others = {}, []
    for job in jobs:
        report = _finished_report(job)
        if report is None:
            continue
        rows[job.prompt.number] = _row(job, report, "kept")
        settings = report.provenance.settings.resolved
        if (report.model, report.method, settings) != (command.model, command.method, command.settings):
            others.append(job.folder.name)
    if others:
        names = others[0] if len(others) == 1 else f"{others[0]} to {others[-1]}"
        print(
            f"note: {len(others)} of {len(jobs)} videos ({names}) are kept although they were made with another model, "
            "method or other settings; remove their folders to make them again",
            file=sys.stderr,
        )
    return rows


def _finished_report(job: _Job) -> Report | None:
    """The report of a finished folder of this very prompt and seed; None if it must be made."""
    try:
        report = Report.load(job.folder / "report.json")
    except UserError:
        return None
    same = (report.prompt, report.seed) == (job.prompt.text, job.seed)
    return report if same and all((job.folder / name).is_file() for name in NEEDED) else None


def _name(job: _Job) -> dict[str, Any]:
    names = {"number": job.prompt.number, "id": job.prompt.id, "prompt": job.prompt.text, "seed": job.seed}
    return {**names, "folder": job.folder.name}


def _row(job: _Job, report: Report, status: str) -> dict[str, Any]:
    """What the record says of a prompt that has a video; hit is None without a memory."""
    memory, tto = report.memory, report.tto
    return {
        **_name(job),
        "status": status,
        "hit": memory.hit if memory is not None else None,
        "similarity": memory.similarity if memory is not None else None,
        "loss_first": tto.loss_first if tto is not None else None,
        "loss_last": tto.loss_last if tto is not None else None,
        "seconds": report.seconds.total,
        "unknown_words": list(report.unknown_words),
        "cut_off": report.cut_off,
        "left_out": list(report.left_out),
    }


def _record(rows: dict[int, dict[str, Any]], out: Path) -> None:
    """Write all rows anew, in the file's order: the record is whole at any moment, and has one line a prompt."""
    lines = [json.dumps(rows[number], ensure_ascii=False, allow_nan=False) for number in sorted(rows)]
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / RECORD, "".join(f"{line}\n" for line in lines))


def _say_done(jobs: list[_Job], rows: dict[int, dict[str, Any]], command: Stream) -> None:
    ordered = [rows[job.prompt.number] for job in jobs]
    print(table(ordered, command.out))
    refused = [row for row in ordered if row["status"] == "refused"]
    kept = sum(row["status"] == "kept" for row in ordered)
    made = len(ordered) - len(refused) - kept
    print(f"{made} made, {kept} kept from an earlier run, {len(refused)} refused; record: {command.out / RECORD}")
    if len(refused) == len(ordered):
        raise UserError(f"every prompt of {command.prompts} was refused, the first one so: {refused[0]['error']}")
    for row in refused:
        problem = with_flags(row["error"].splitlines()[0])
        print(f"note: {row['folder']} was refused: {problem}", file=sys.stderr)
    unknown = list(dict.fromkeys(word for row in ordered for word in row.get("unknown_words", ())))
    if unknown:
        words = ", ".join(map(repr, unknown))
        print(f"note: the model does not know {words}; nothing in the videos comes of it", file=sys.stderr)
    for field, what in (("left_out", "things without a box"), ("cut_off", "an end that the model does not read")):
        count = sum(bool(row.get(field)) for row in ordered)
        if count:
            print(f"note: {count} of {len(ordered)} prompts have {what} ({field} in the record)", file=sys.stderr)
    if command.settings.memory.path is None and command.method == "ttom":
        print("note: without --memory.path no video learned from another", file=sys.stderr)


def table(rows: list[dict[str, Any]], out: Path) -> str:
    """A line a prompt: what the memory held, the loss at the first and the last iteration, seconds, and the folder."""
    lines = [f"{'':>4}  {'memory':<8}{'similarity':>10}  {'loss':<16}{'seconds':>8}  folder"]
    for row in rows:
        if row["status"] == "refused":
            cells = "refused", "-", "-", "-", "-"
        else:
            loss = "-" if row["loss_first"] is None else f"{row['loss_first']:.3f} -> {row['loss_last']:.3f}"
            similarity = "-" if row["similarity"] is None else f"{row['similarity']:.4f}"
            memory = {True: "hit", False: "miss", None: "-"}[row["hit"]]
            cells = memory, similarity, loss, f"{row['seconds']:.1f}", str(out / row["folder"])
        lines.append("{:>4}  {:<8}{:>10}  {:<16}{:>8}  {}".format(row["number"], *cells))
    return "\n".join(lines)


class _Display:
    """Two bars on a terminal's standard error, the prompts and the stage of the present one; else nothing.

    Hand it to `TTOM.generate` as ``progress``; `next` counts a prompt.
    """

    def __init__(self, prompts: int, *, quiet: bool, screen: TextIO | None = None) -> None:
        screen = screen or sys.stderr
        size = shutil.get_terminal_size()  # as in ProgressDisplay: some terminals hide their size from tqdm
        form = "{desc:<11}{bar:30} {n_fmt}/{total_fmt}  {elapsed}{postfix}"
        common = {"file": screen, "disable": quiet or not screen.isatty(), "ncols": size.columns, "nrows": size.lines}
        self._prompts = tqdm(desc="prompts", total=prompts, bar_format=form, position=0, **common)
        self._stage = tqdm(total=1, bar_format=form, position=1, leave=False, **common)
        self._shown: str | None = None

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stage.close()
        self._prompts.close()

    def next(self) -> None:
        self._prompts.update()

    def one_more(self) -> None:
        """Count a part of the present stage."""
        self._stage.update()

    def __call__(self, stage: Stage, done: int, total: int, loss: float | None = None) -> None:
        if self._stage.disable:
            return
        if stage != self._shown:
            self._shown = stage
            self._stage.set_description_str(LABELS[stage], refresh=False)
            self._stage.set_postfix_str("", refresh=False)
            self._stage.reset(total)
        if loss is not None:
            self._stage.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._stage.n = done
        self._stage.refresh()
