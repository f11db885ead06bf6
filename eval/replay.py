"""Make the videos of a suite: python -m eval.replay --suite SUITE --out RUN (see eval/arguments.py, or --help).

The driver plans all layouts, hands cases to workers (`eval.worker`) and alone writes the run and the memory. So workers
may be on other hosts, may die, and there may be any number of them: the videos are the same.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from eval import manifest
from eval.arguments import Replay, parse
from eval.header import make_header, memory_folder, run_settings
from eval.manifest import RunFolder, collisions, open_run
from eval.planned import PlannedCase, plan_cases
from eval.progress import CaseProgress
from eval.run_memory import RunMemory, memory_digest
from eval.suites import Options, Suite, load_suite
from eval.types import ManifestRow, RunHeader
from eval.worker import Job, Made, MakeVideos, NotMade, without_memory
from ttom import files
from ttom.cli.commands import hush_libraries
from ttom.cli.exits import exit_code
from ttom.cli.plugins import import_plugins
from ttom.config import Settings
from ttom.errors import SetupError, UserError
from ttom.guidance.registry import find_method
from ttom.identity import layout_digest
from ttom.memory.memory import Lookup
from ttom.parallel import Devices, Lost, MakeWorker, Workers, open_workers
from ttom.report import MemoryReport, Report

FAILED = 1
"""Exit code when some cases failed; a further call tries them again."""
_FAILURES_IN_A_ROW = 10
"""After so many failures without a video the device or the settings are at fault, not the cases."""


def main(argv: Sequence[str] | None = None, make_worker: MakeWorker | None = None) -> int:
    """Run with these arguments (the process's own if None).

    Returns the exit code: 0 done, 1 some cases failed, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        counts = run(parse(arguments), arguments, make_worker)
        return FAILED if counts["failed"] else 0

    return exit_code("eval.replay", work, command=Replay)


def run(command: Replay, arguments: Sequence[str], make_worker: MakeWorker | None = None) -> Counter[str]:
    """Make the cases that are not there yet.

    Args:
        command: What to make.
        arguments: As typed, for the record.
        make_worker: Makes the workers; `MakeVideos` of the command if None.

    Returns:
        How many cases were made, kept from an earlier call, refused or failed.

    Raises:
        UserError: For input, settings or an environment that cannot work; what was made until then is kept.
    """
    import_plugins(command.plugin)
    part, settings = command.part, run_settings(command)
    devices = Devices(command.devices, command.per_device, command.device)
    manifest.check_free(command.out)
    wanted = Options(command.data, command.category, command.limit, command.samples, command.layouts)
    suite = load_suite(command.suite, wanted)
    hush_libraries()
    from ttom.backbones.loading import check_loadable  # imports diffusers, which takes seconds

    check_loadable(command.model, command.device if devices.in_process else "cpu", command.dtype)
    to_plan = {case.prompt for case in suite.cases if case.layout is None}
    with CaseProgress("layouts", len(to_plan), quiet=command.quiet) as progress:
        planned = plan_cases(suite.cases, settings, progress.one_more)
    header = make_header(command, settings, suite, arguments)
    with open_run(command.out, header, part) as folder:
        mine = planned if part is None else planned[part[0] - 1 :: part[1]]
        todo = [item for item in mine if not folder.is_done(item.case, item.identity(header.identity))]
        replayer = Replayer(command, settings, folder)
        replayer.counts["kept"] = len(mine) - len(todo)
        waiting = {item.case.id for item in todo}
        for item in mine:
            if item.case.id not in waiting:
                folder.refresh(item.case)
        todo = list(replayer.refuse_unmakeable(todo, planned))
        if todo:
            make = make_worker or _make_videos(command, settings)
            with open_workers(make, devices) as workers:
                replayer.replay(todo, workers)
        _check_frozen(folder, header, settings)
        _say_done(replayer.counts, suite, folder)
        commits = [made_by.provenance.get("commit") for made_by in (folder.header, header)]
        if replayer.counts["made"] and commits[0] != commits[1]:
            print(f"note: earlier videos of this run were made by commit {commits[0]}", file=sys.stderr)
    return replayer.counts


class Replayer:
    """Hands planned cases to workers and writes what comes back.

    Attributes:
        counts: Cases "made", "kept", "refused" and "failed".
    """

    def __init__(self, command: Replay, settings: Settings, folder: RunFolder) -> None:
        self.command, self.settings, self.folder = command, settings, folder
        self.counts = Counter[str](made=0, kept=0, refused=0, failed=0)
        self._failures = 0
        self._open: dict[str, tuple[PlannedCase, Lookup | None]] = {}

    def refuse_unmakeable(self, todo: list[PlannedCase], everything: list[PlannedCase]) -> Iterator[PlannedCase]:
        """The cases that can be made; notes the others as refused."""
        same_file = collisions(item.case for item in everything) if self.folder.ignores_case else {}
        for item in todo:
            if item.problem is not None and find_method(self.command.method).needs_layout:
                self._refuse(item, item.problem)
            elif item.case.id in same_file:
                other = same_file[item.case.id].video
                self._refuse(item, f"this disk takes its file name for that of {other!r}; use another disk")
            else:
                yield item

    def replay(self, todo: list[PlannedCase], workers: Workers) -> None:
        """Make the cases and write them as they come; with streaming in order."""
        with ExitStack() as stack:
            memory = None
            if self.settings.memory.active:
                keys = [(item.prompt, item.layout) for item in todo if item.layout is not None]
                memory = stack.enter_context(RunMemory(self.settings.memory, workers, keys))
            progress = stack.enter_context(CaseProgress("videos", len(todo), quiet=self.command.quiet))
            jobs = self._jobs(todo, memory)
            if self.command.streaming:
                results = workers.in_order("make", jobs, self.folder.header.window or 1)
            else:
                results = workers.each("make", jobs)
            for job, outcome in results:
                self._settle(job, outcome)
                problems = [f"{self.counts[name]} {name}" for name in ("refused", "failed") if self.counts[name]]
                progress.one_more(", ".join(problems))

    def _jobs(self, todo: list[PlannedCase], memory: RunMemory | None) -> Iterator[Job]:
        """Looks a case up in the memory when a worker is free for it."""
        for item in todo:
            lookup = None
            if memory is not None and item.layout is not None:
                lookup = memory.look_up(item.prompt, item.layout, item.identity(self.folder.header.identity))
            self._open[item.case.id] = item, lookup
            wanted = self.command.streaming and lookup is not None
            yield Job(item.case, item.prompt, item.layout, lookup.state if lookup else None, wanted)

    def _settle(self, job: Job, outcome: Made | NotMade | Lost) -> None:
        item, lookup = self._open.pop(job.case.id)
        if isinstance(outcome, Made):
            self._keep(item, lookup, outcome)
            self._failures = 0
        elif isinstance(outcome, NotMade) and outcome.status == "refused":
            self._refuse(item, outcome.error)
        else:
            error = outcome.error if isinstance(outcome, NotMade) else f"killed {outcome.tries} workers"
            self._note(item, "failed", error)
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise SetupError(
                    f"{self._failures} cases in a row failed; the last error: {error}",
                    remedy="fix what the message names, then run it again",
                )

    def _keep(self, item: PlannedCase, lookup: Lookup | None, made: Made) -> None:
        """Write a video; its adapter goes into the memory before, as in `ttom stream`."""
        memory = None
        if lookup is not None:
            memory = _memory_report(lookup, made)
        sha256 = hashlib.sha256(made.video).hexdigest()
        report = made.report.model_copy(
            update={
                "planner": item.planner,
                "left_out": item.layout.left_out if item.layout is not None and item.planner is not None else (),
                "memory": memory,
                "video_sha256": sha256,
            }
        )
        extra = {"report.json": _json(report), **made.extra}
        if item.layout is not None:
            extra["layout.json"] = (item.layout.model_dump_json(indent=2) + "\n").encode()
        row = ManifestRow(
            identity=item.identity(self.folder.header.identity),
            case=item.case,
            status="made",
            video=item.case.video,
            sha256=sha256,
            bytes=len(made.video),
            frames=made.shape[0],
            fps=made.fps,
            height=made.shape[1],
            width=made.shape[2],
            layout_hash=layout_digest(item.layout) if item.layout is not None else None,
            memory_entries=tuple(str(match.id) for match in memory.matches) if memory is not None else (),
            seconds={name: s for name, s in report.seconds.model_dump().items() if s is not None},
            peak_bytes=report.peak_bytes,
            device=report.provenance.device_name,
        )
        self.folder.add(row, made.video, extra)
        self.counts["made"] += 1

    def _refuse(self, item: PlannedCase, error: str) -> None:
        self._note(item, "refused", error)

    def _note(self, item: PlannedCase, status: Any, error: str) -> None:
        layout = layout_digest(item.layout) if item.layout is not None else None
        identity = item.identity(self.folder.header.identity)
        self.folder.add(ManifestRow(identity=identity, case=item.case, status=status, layout_hash=layout, error=error))
        self.counts[status] += 1


def _make_videos(command: Replay, settings: Settings) -> MakeVideos:
    return MakeVideos(
        command.model,
        command.dtype,
        command.preset,
        command.runtime,
        command.method,
        without_memory(settings),
        command.pictures,
        command.plugin,
        command.check if command.tries > 1 else "off",  # the judges look at the videos of a run
        command.tries,
    )


def _memory_report(lookup: Lookup, made: Made) -> MemoryReport | None:
    """What the report says of the memory, into which an optimized adapter goes first unless it is frozen."""
    if lookup.memory.frozen:
        return MemoryReport.model_validate(lookup.keep({}, (0.0, 0.0)))
    if made.adapter is None or made.losses is None:  # nothing was optimized
        return None
    return MemoryReport.model_validate(lookup.keep(made.adapter, made.losses))


def _check_frozen(folder: RunFolder, header: RunHeader, settings: Settings) -> None:
    """Record the memory's digest after the run. Raises UserError if a frozen memory has changed."""
    if not settings.memory.active:
        return
    after = memory_digest(memory_folder(settings))
    changed = not header.streaming and after != header.memory_digest
    there = folder.header
    noted = there.model_copy(update={"provenance": there.provenance | {"memory_digest_after": after}})
    with files.disk_errors(folder.path):
        files.write_text(folder.path / manifest.HEADER, noted.model_dump_json(indent=1) + "\n")
    if changed:
        raise UserError(
            f"the memory {settings.memory.path} was changed by another process while the run read it",
            expected="a memory that nobody writes to",
            remedy="make the run again, into another folder, with a copy of the memory",
        )


def _json(report: Report) -> bytes:
    return (report.model_dump_json(indent=2) + "\n").encode()


def _say_done(counts: Counter[str], suite: Suite, folder: RunFolder) -> None:
    done = ", ".join(f"{counts[name]} {name}" for name in ("made", "kept", "refused", "failed"))
    print(f"{done}; run: {folder.path}")
    refused = [row for row in folder.rows.values() if row.status == "refused"]
    if refused and len(refused) == len(folder.rows):
        raise UserError(f"every case was refused; the first reason: {refused[0].error}")
    devices = sorted({row.device for row in folder.rows.values() if row.device is not None})
    if len(devices) > 1:
        print(f"note: the videos were made on different devices: {', '.join(devices)}", file=sys.stderr)
    if suite.dropped:
        print(f"note: {len(suite.dropped)} prompts are not in the suite {suite.name} (run.json says why)")
    if counts["failed"]:
        print("note: run it again to retry the failed cases (manifest.jsonl says why)", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
