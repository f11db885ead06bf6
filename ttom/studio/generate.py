"""One job of the queue: `TTOM.generate`, watched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ttom import files
from ttom.config import Settings
from ttom.guidance.registry import Method, find_method
from ttom.pipeline import TTOM
from ttom.result import Result
from ttom.studio import record
from ttom.studio.jobs import Job
from ttom.studio.preview import Colors
from ttom.studio.record import LORA, MAX_LOSSES, Order, RunRecord
from ttom.studio.watch import Watch
from ttom.types import STAGE_LABELS, Stage


@dataclass
class Generator:
    """Makes the videos of jobs.

    Attributes:
        runner: The model.
        out: The run folder.
        check: Who compares videos with their plans, as in `TTOM.generate`.
        colors: For previews; shared by all jobs.
    """

    runner: TTOM
    out: Path
    check: str
    colors: Colors = field(default_factory=Colors)

    def generate(self, job: Job, settings: Settings) -> None:
        """Make the video of a job, and the plain model's with the same seed if asked for.

        Raises:
            UserError: As `TTOM.generate`.
            Cancelled: When the job is to end.
        """
        order, folder = job.record.order, self.out / job.record.id
        method = find_method(order.method)
        videos = 2 if order.compare and method.name != "base" else 1
        expected = expected_seconds(order, record.history(self.out))
        telling = _Telling(job, settings.sampler.steps * videos, expected)
        watch = Watch(folder, self.colors, telling.step, telling.preview)
        result = self.runner.generate(
            order.prompt,
            method=_watched(method, watch),
            seed=order.seed,
            layout=job.layout,
            settings=settings,
            progress=telling,
            out=folder,
            save_lora=folder / LORA if method.learns else None,
            check=self.check,
        )
        watch.save_maps(result)
        telling.step(settings.sampler.steps)
        job.update(check=str(result.report.check) if result.report.check is not None else None)
        if videos > 1:
            telling.taken = settings.sampler.steps
            plain = self.runner.generate(
                order.prompt,
                method=_watched(find_method("base"), Watch(folder, self.colors, telling.step, telling.preview)),
                seed=order.seed,
                layout=result.layout,
                settings=replace(settings, memory=replace(settings.memory, path=None)),
                progress=telling,
                check="off",
            )
            _save_base(plain, folder)
            telling.step(settings.sampler.steps)


def expected_seconds(order: Order, past: Sequence[RunRecord]) -> float | None:
    """What the newest finished run of the same method and settings took; None if there is none."""
    same = {"method", "preset", "settings", "compare"}
    wanted = order.model_dump(include=same)
    return next(
        (old.seconds for old in past if old.state == "done" and old.order.model_dump(include=same) == wanted), None
    )


def _save_base(plain: Result, folder: Path) -> None:
    from ttom.video import enlarge, write_video

    with files.staged(folder) as stage:
        write_video(enlarge(plain.video), stage / "base.mp4", plain.settings.sampler.fps)


def _watched(method: Method, watch: Watch) -> Method:
    """The method with one part more, which only looks."""
    return replace(method, parts=lambda inputs: [*method.parts(inputs), watch.part(inputs.prepared)])


class _Telling:
    """Keeps a job's record up to date; as a callable it is the pipeline's progress.

    Args:
        job: The job.
        steps: All its denoising steps.
        expected: Seconds that such a job took before.
    """

    def __init__(self, job: Job, steps: int, expected: float | None) -> None:
        self._job, self._expected, self._began = job, expected, time.monotonic()
        self.taken = 0
        """Steps of the videos before this one."""
        job.update(steps=steps)

    def __call__(self, stage: Stage, done: int, total: int, loss: float | None) -> None:
        job = self._job
        job.check()
        job.phase = STAGE_LABELS[stage]
        if loss is not None and len(job.record.losses) < MAX_LOSSES and loss == loss:
            job.update(losses=(*job.record.losses, round(loss, 6)))
        else:
            job.update()

    def step(self, done: int) -> None:
        """So many steps of this video are taken."""
        job, now = self._job, time.monotonic()
        job.check()
        done += self.taken
        if self._expected is not None:
            job.seconds_left = round(max(self._expected - (now - self._began), 0.0), 1)
        elif done:
            job.seconds_left = round((now - self._began) / done * (job.record.steps - done), 1)
        job.update(step=done)

    def preview(self) -> None:
        """There is a new preview."""
        self._job.update(preview=self._job.record.preview + 1)
