"""The queue: one job at a time in a worker thread, the others wait in order.

A job is cancelled from within: its progress callback, which the pipeline calls after every step and every iteration,
raises. So a cancelled job ends within a step, what the methods changed in the model is undone by their own exits, and
the next job begins.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ttom.errors import UserError, first_line
from ttom.layout.model import Layout
from ttom.studio import record
from ttom.studio.errors import Refused, as_json
from ttom.studio.record import FINAL, Order, Problem, RunRecord

MAX_WAITING = 50
"""Jobs that may wait."""
_log = logging.getLogger(__name__)


class Cancelled(BaseException):
    """The job is to end now. Not an Exception, so that nothing on the way mistakes it for an error of the run."""


@dataclass(eq=False)
class Job:
    """A job of this process.

    Attributes:
        record: What run.json holds, once the job has ended.
        layout: As given.
        phase: What it is doing.
        changes: Counts what clients have not seen yet.
    """

    record: RunRecord
    layout: Layout | None
    phase: str = "queued"
    began: float | None = None
    seconds_left: float | None = None
    changes: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def update(self, **values: Any) -> None:
        self.record = self.record.model_copy(update=values)
        self.changes += 1

    def check(self) -> None:
        """Raise Cancelled if the job is to end."""
        if self.stop.is_set():
            raise Cancelled


Work = Callable[[Job], None]
"""Does a job in the worker thread; calls `Job.check` often, and `Job.update`."""


class Jobs:
    """The queue and its worker.

    Args:
        out: The run folder; those that an ended process left unfinished are marked as failed.
        work: Does a job.
        finish: Called at the end, in the thread that did the jobs: SQLite wants a database closed where it was opened.
    """

    def __init__(self, out: Path, work: Work, finish: Callable[[], None] = lambda: None) -> None:
        self.out, self._work, self._finish = out, work, finish
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._closed = False
        self._changed = threading.Condition()
        _end_abandoned(out)
        self._worker = threading.Thread(target=self._loop, name="ttom-studio", daemon=True)
        self._worker.start()

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._running is not None

    def submit(self, order: Order, layout: Layout | None) -> str:
        """Put a job into the queue; returns its id. Raises Refused if too many wait."""
        with self._changed:
            if self._closed or len(self._waiting) >= MAX_WAITING:
                raise Refused(
                    429, f"{len(self._waiting)} runs are already waiting", remedy="wait, or cancel some of them"
                )
        job = Job(RunRecord(id=record.new_id(), order=order, created=round(time.time(), 3)), layout)
        _begin_folder(self.out, job)
        with self._changed:
            self._jobs[job.record.id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return job.record.id

    def cancel(self, id_: str) -> None:
        """End a job: at once if it waits, within a step if it runs; nothing happens to one that has ended."""
        with self._changed:
            job = self._jobs.get(id_)
            if job is None:
                record.load(self.out, id_)  # raises Refused if there is no such run
                return
            job.stop.set()
            waits = job in self._waiting
            if waits:
                self._waiting.remove(job)
        if waits:
            self._end(job, "cancelled")
        else:
            job.changes += 1

    def remove(self, id_: str) -> None:
        """Delete a run that has ended. Raises Refused."""
        if self.view(id_)["state"] not in FINAL:
            raise Refused(409, "the run has not ended", remedy="cancel it first")
        self._jobs.pop(id_, None)
        record.remove(self.out, id_)

    def view(self, id_: str) -> dict[str, Any]:
        """A run as clients see it. Raises Refused."""
        job = self._jobs.get(id_)
        return self._live(job) if job is not None else record.load(self.out, id_).as_json(self.out)

    def _live(self, job: Job) -> dict[str, Any]:
        known, live = job.record, {}
        if known.state not in FINAL:
            waiting = list(self._waiting)
            seconds = time.monotonic() - job.began if job.began is not None else 0.0
            phase = "cancelling" if job.stop.is_set() else job.phase
            live = {"phase": phase, "seconds": round(seconds, 2), "seconds_left": job.seconds_left}
            live["position"] = waiting.index(job) + 1 if job in waiting else 0
        return known.as_json(self.out, **live)

    def views(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        jobs = {job.record.id: job for job in list(self._jobs.values())}
        old = {run.id: run for run in record.history(self.out) if run.id not in jobs}
        newest = sorted({*jobs, *old}, reverse=True)[: record.MAX_RUNS]
        return [self._live(jobs[id_]) if id_ in jobs else old[id_].as_json(self.out) for id_ in newest]

    def changes(self, id_: str) -> int:
        """A number that grows whenever there is news of a run; 0 for one of an earlier process."""
        job = self._jobs.get(id_)
        return job.changes if job is not None else 0

    def close(self, seconds: float) -> bool:
        """Cancel everything and wait for so long; returns whether the worker has ended."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            if self._running is not None:
                self._running.stop.set()
            self._changed.notify_all()
        for job in waiting:
            self._end(job, "cancelled")
        self._worker.join(seconds)
        return not self._worker.is_alive()

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    break
                job = self._running = self._waiting.pop(0)
            self._do(job)
            with self._changed:
                self._running = None
        self._finish()

    def _do(self, job: Job) -> None:
        job.began = time.monotonic()
        job.update(state="running")
        try:
            job.check()
            self._work(job)
        except Cancelled:
            self._end(job, "cancelled")
        except UserError as error:
            self._end(job, "failed", Problem(**as_json(error)))
        except BaseException as error:  # a bug, or out of memory: the studio goes on
            _log.exception("the run %s failed", job.record.id)
            kind, remedy = "the run failed", "look at the server's output"
            if _is_out_of_memory(error):
                kind, remedy = "out of memory", "fewer frames or a smaller picture"
            self._end(job, "failed", Problem(problem=f"{kind}: {first_line(error, 1000)}", remedy=remedy))
        else:
            self._end(job, "done")

    def _end(self, job: Job, state: str, error: Problem | None = None) -> None:
        seconds = round(time.monotonic() - job.began, 2) if job.began is not None else 0.0
        job.phase = state
        ended = job.record.model_copy(update={"state": state, "error": error, "seconds": seconds})
        job.update(state=state, error=error, seconds=seconds)
        try:
            ended.save(self.out)
        except UserError as problem:  # a full disk; this process still knows
            _log.warning("warning: %s", problem)
        else:
            self._jobs.pop(job.record.id, None)  # its folder tells the rest


def _begin_folder(out: Path, job: Job) -> None:
    from ttom import files
    from ttom.layout.model import save_layout

    folder = out / job.record.id
    with files.disk_errors(folder):
        folder.mkdir(parents=True)
        job.record.save(out)
        if job.layout is not None:
            save_layout(job.layout, folder / record.PLAN)


def _end_abandoned(out: Path) -> None:
    """Runs that an earlier process did not finish say so."""
    for old in record.history(out):
        if old.state not in FINAL:
            error = Problem(problem="the studio ended before this run did", remedy="start it again")
            old.model_copy(update={"state": "failed", "error": error}).save(out)


def _is_out_of_memory(error: BaseException) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
