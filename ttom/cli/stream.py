"""`ttom stream`: the prompts of a file one after the other, with one model and one memory.

A prompt's folder carries its identity in its name: it is finished if its report has this identity and its video this
report's digest. So a prompt that is inserted, moved or edited, or a setting that changes, makes again what depends on
it and nothing else. So do another --dtype, --runtime.fp8 and --runtime.vae-tiling, which change pixels; the other
settings of --runtime, which change no more than rounding, keep what is there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ttom.cli.arguments import Stream
from ttom.cli.commands import (
    check_out,
    file_layout,
    hush_libraries,
    open_model,
    out_of_memory_errors,
    unknown_note,
    warn_of_settings,
)
from ttom.cli.flags import with_flags
from ttom.cli.progress import ProgressDisplay, print_table
from ttom.errors import SetupError, UserError
from ttom.files import disk_errors, only_writer, remove_stale, write_text
from ttom.guidance import find_method
from ttom.layout.model import Layout
from ttom.pipeline import TTOM, MemoryUpdateError
from ttom.prompts import StreamPrompt, read_prompts
from ttom.report import Report
from ttom.result import sha256

RECORD = "stream.jsonl"
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A prompt of the file.

    Attributes:
        prompt: As the file has it.
        seed: Its own, or the command's.
        layout: Read from its file; None to plan one.
        problem: Why it cannot be made: its layout file is none.
        identity: See `ttom.identity.identity`; None if it cannot be made.
        folder: Where its files are.
    """

    prompt: StreamPrompt
    seed: int
    layout: Layout | None
    problem: str | None
    identity: str | None
    folder: Path

    @property
    def origin(self) -> str:
        """Its name in the memory. A prompt that occurs twice is two jobs: the second one finds what the first left."""
        return hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]

    def finished_report(self) -> Report | None:
        """The report in its folder, if that holds this very case with its video."""
        try:
            report = Report.load(self.folder / "report.json")
            same = report.identity == self.identity and report.video_sha256 == sha256(self.folder / "video.mp4")
        except (UserError, OSError):
            return None
        return report if same else None

    def row(self, report: Report, status: str) -> Row:
        """What the record says of a prompt that has a video; hit is None without a memory."""
        memory, tto = report.memory, report.tto
        return {
            **self._name(status),
            "hit": memory.hit if memory is not None else None,
            "similarity": memory.similarity if memory is not None else None,
            "loss_first": tto.loss_first if tto is not None else None,
            "loss_last": tto.loss_last if tto is not None else None,
            "seconds": report.seconds.total,
            "unknown_words": list(report.unknown_words),
            "cut_off": report.cut_off,
            "left_out": list(report.left_out),
        }

    def refused(self, error: str) -> Row:
        """What the record says of a prompt that cannot be made."""
        return {**self._name("refused"), "error": error}

    def _name(self, status: str) -> Row:
        prompt = self.prompt
        names = {"number": prompt.number, "id": prompt.id, "prompt": prompt.text, "seed": self.seed}
        return {**names, "identity": self.identity, "folder": self.folder.name, "status": status}


def stream(command: Stream) -> None:
    """Run `ttom stream`. The file is read before the model is loaded; an interrupted run keeps what is done.

    Raises:
        UserError: If the file, the folder or the model cannot be used, the disk is full, another stream writes to the
            folder, or every prompt was refused.
    """
    prompts = read_prompts(command.prompts)
    method = find_method(command.method)
    check_out(command.out)
    warn_of_settings(command.settings)
    hush_libraries()
    method.check(command.settings)
    with open_model(command) as runner:
        jobs = list(_jobs(prompts, runner, command))
        with only_writer(command.out), ProgressDisplay(prompts=len(jobs), quiet=command.quiet) as display:
            remove_stale(command.out)
            found = ((job, job.finished_report()) for job in jobs)
            rows = {job.prompt.number: job.row(report, "kept") for job, report in found if report is not None}
            _make_all(jobs, rows, runner, command, display)
            _record(rows, command.out)
    _say_done([rows[job.prompt.number] for job in jobs], command)


def _jobs(prompts: list[StreamPrompt], runner: TTOM, command: Stream) -> Iterator[Job]:
    seen: Counter[str] = Counter()
    if runner.model_digest is None:
        runner.load()  # here, where an unknown model is not taken for a prompt's mistake
    for prompt in prompts:
        seed = command.seed if prompt.seed is None else prompt.seed
        layout, problem, case = None, None, None
        try:
            layout = file_layout(prompt.layout) if prompt.layout is not None else None
            case = runner.identity(
                prompt.text, command.method, seed, layout, command.settings, command.tries, command.check
            )
        except SetupError:
            raise
        except UserError as error:
            problem = str(error)
        name = f"{prompt.slug}-{case[:8]}" if case is not None else f"{prompt.slug}-refused"
        seen[name] += 1
        again = f"-{seen[name]}" if seen[name] > 1 else ""
        yield Job(prompt, seed, layout, problem, case, command.out / f"{name}{again}")


def _make_all(jobs: list[Job], rows: dict[int, Row], runner: TTOM, command: Stream, display: ProgressDisplay) -> None:
    """Make what has no row yet, in the file's order; the record is written after each prompt."""
    todo = [job for job in jobs if job.prompt.number not in rows and job.problem is None]
    planned = list(dict.fromkeys(job.prompt.text for job in todo if job.layout is None))
    if command.settings.planner.kind == "llm" and planned:  # together, so that requests overlap
        display("plan", 0, len(planned))
        runner.plan_ahead(planned, command.settings, done=lambda: display.advance("plan"))
    if todo:
        display("load", 0, 1)
        runner.load()
    for job in jobs:
        if job.prompt.number not in rows:
            try:
                rows[job.prompt.number] = _make(job, runner, command, display)
            except MemoryUpdateError as error:  # no other prompt would get into the memory either
                rows[job.prompt.number] = job.row(error.result.report, "made")
                _record(rows, command.out)
                raise
            _record(rows, command.out)
        display.next_prompt()


def _make(job: Job, runner: TTOM, command: Stream, display: ProgressDisplay) -> Row:
    """Make the video of a prompt, or learn why it cannot be made; what the record says of it."""
    if job.problem is not None:
        return job.refused(job.problem)
    try:
        with out_of_memory_errors(command.dtype, command.runtime):
            result = runner.generate(
                job.prompt.text,
                method=command.method,
                seed=job.seed,
                layout=job.layout,
                settings=command.settings,
                progress=display,
                out=job.folder,
                origin=job.origin,
                check=command.check,
                tries=command.tries,
            )
    except SetupError:  # all the others would meet it too
        raise
    except UserError as error:
        return job.refused(str(error))
    return job.row(result.report, "made")


def _record(rows: dict[int, Row], out: Path) -> None:
    """Rewrite all rows, in the file's order: the record is whole at any moment, and has one line per prompt."""
    lines = [json.dumps(rows[number], ensure_ascii=False, allow_nan=False) for number in sorted(rows)]
    with disk_errors(out):
        write_text(out / RECORD, "".join(f"{line}\n" for line in lines))


def _say_done(rows: list[Row], command: Stream) -> None:
    print_table(_table(rows, command.out))
    refused = [row for row in rows if row["status"] == "refused"]
    kept = sum(row["status"] == "kept" for row in rows)
    made = len(rows) - len(refused) - kept
    print(f"{made} made, {kept} kept from an earlier run, {len(refused)} refused; record: {command.out / RECORD}")
    if len(refused) == len(rows):
        raise UserError(f"every prompt of {command.prompts} was refused, the first one so: {refused[0]['error']}")
    for note in _notes(rows, refused, command):
        print(f"note: {note}", file=sys.stderr)


def _notes(rows: list[Row], refused: list[Row], command: Stream) -> Iterator[str]:
    for row in refused:
        yield f"prompt {row['number']} was refused: {with_flags(row['error'].splitlines()[0])}"
    unknown = list(dict.fromkeys(word for row in rows for word in row.get("unknown_words", ())))
    if unknown:
        yield unknown_note(unknown, "the videos")
    for field, what in (
        ("left_out", "words that their layouts leave out"),
        ("cut_off", "an end that the model does not read"),
    ):
        count = sum(bool(row.get(field)) for row in rows)
        if count:
            yield f"{count} of {len(rows)} prompts have {what} ({field} in the record)"
    if command.settings.memory.path is None and find_method(command.method).learns:
        yield "without --memory.path no video learned from another"


def _table(rows: list[Row], out: Path) -> Table:
    """A line a prompt: what the memory held, the loss at the first and the last iteration, seconds, and the folder."""
    table = Table(box=None, pad_edge=False)
    for name, side in (("", "right"), ("memory", "left"), ("similarity", "right"), ("loss", "left"),
                       ("seconds", "right"), ("folder", "left")):  # fmt: skip
        table.add_column(name, justify=side, no_wrap=name != "folder", overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        if row["status"] == "refused":
            cells = ["refused", "-", "-", "-", "-"]
        else:
            loss = "-" if row["loss_first"] is None else f"{row['loss_first']:.3f} -> {row['loss_last']:.3f}"
            similarity = "-" if row["similarity"] is None else f"{row['similarity']:.4f}"
            memory = {True: "hit", False: "miss", None: "-"}[row["hit"]]
            cells = [memory, similarity, loss, f"{row['seconds']:.1f}", str(out / row["folder"])]
        table.add_row(str(row["number"]), *cells)
    return table
