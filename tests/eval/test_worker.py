"""A worker with the tiny model: what comes back, and what becomes of errors."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch

from eval.planned import plan_cases
from eval.worker import Job, Made, MakeVideos, NotMade, Optimized, VideoWorker, without_memory
from tests.eval.cases import case
from ttom.config import AdapterConfig, MemoryConfig, RuntimeConfig, SamplerConfig, Settings, TTOConfig
from ttom.errors import SetupError

SETTINGS = Settings(
    sampler=SamplerConfig(steps=2, guidance_scale=1.0, frames=5, height=32, width=48, fps=8, max_sequence_length=24),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(1,), lr=1e-2, guided_steps=1, iterations=2),
)


@pytest.fixture(scope="module")
def worker(tiny_folder: Path) -> VideoWorker:
    return MakeVideos(str(tiny_folder), "auto", None, RuntimeConfig(), "ttom", SETTINGS)("cpu")


def job(prompt: str = "A cat moves left above a house", **changes: object) -> Job:
    (item,) = plan_cases([case(1, prompt=prompt)], SETTINGS)
    return Job(**{"case": item.case, "prompt": item.prompt, "layout": item.layout, **changes})


def test_a_video_and_its_files(worker: VideoWorker) -> None:
    made = worker.make(job())
    assert isinstance(made, Made)
    with av.open(io.BytesIO(made.video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert (len(frames), *frames[0].shape[:2]) == made.shape == (5, 480, 720) and made.fps == 8
    assert made.extra["attention.png"].startswith(b"\x89PNG")
    assert made.report.seed == 1 and made.report.tto is not None and made.report.memory is None
    assert made.adapter is None, "nobody asked for it"


def test_equal_jobs_make_equal_bytes(worker: VideoWorker) -> None:
    first, second = worker.make(job()), worker.make(job())
    assert isinstance(first, Made) and isinstance(second, Made) and first.video == second.video


def test_an_adapter_goes_in_and_comes_out(worker: VideoWorker) -> None:
    first = worker.make(job(wants_adapter=True))
    assert isinstance(first, Made) and first.adapter and first.losses and first.losses[1] < first.losses[0]
    second = worker.make(job(adapter=first.adapter, wants_adapter=True))
    assert isinstance(second, Made) and second.losses and second.losses[0] < first.losses[0]
    alone = worker.optimize(job())
    assert isinstance(alone, Optimized)
    assert all(torch.equal(tensor, first.adapter[name]) for name, tensor in alone.adapter.items())


def test_what_a_memory_must_fit(worker: VideoWorker) -> None:
    terms = worker.memory_terms()
    assert terms.signature.rank == 2 and worker.embed(["<object A> moves left"]).shape == (1, terms.dimension)


def test_a_prompt_that_cannot_work_is_refused(worker: VideoWorker) -> None:
    zeppelin = worker.make(job("A zeppelin moves left"))
    assert isinstance(zeppelin, NotMade) and zeppelin.status == "refused" and "zeppelin" in zeppelin.error
    assert isinstance(worker.make(job("slowly")), NotMade), "this method needs a layout"


class AcceleratorError(RuntimeError):
    """By the name of torch's error of a device that is lost."""


@pytest.mark.parametrize("error", [RuntimeError("odd"), torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_anything_else_fails_and_may_be_tried_again(
    worker: VideoWorker, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(worker._ttom, "generate", broken)
    found = worker.make(job())
    assert isinstance(found, NotMade) and found.status == "failed"
    assert found.error.startswith(f"{type(error).__name__} at test_worker.py:")


@pytest.mark.parametrize("error", [SetupError("no such device"), AcceleratorError("device-side assert")])
def test_what_every_case_would_meet_is_raised(
    worker: VideoWorker, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(worker._ttom, "generate", broken)
    with pytest.raises(type(error)):
        worker.make(job())


def test_without_pictures(tiny_folder: Path) -> None:
    run = MakeVideos(str(tiny_folder), "auto", None, RuntimeConfig(), "base", SETTINGS, pictures=False)
    made = run("cpu").make(job())
    assert isinstance(made, Made) and made.extra == {} and made.report.tto is None


def test_the_memory_stays_with_the_driver() -> None:
    memory = MemoryConfig(path="m", use="load", threshold=0.5)
    kept = without_memory(replace(SETTINGS, memory=memory)).memory
    assert not kept.active and (kept.use, kept.threshold) == ("load", 0.5)
