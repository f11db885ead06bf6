"""The worker's protocol, with a stand-in that speaks it well or badly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from probes.worker import WorkerSegmenter
from ttom import UserError
from ttom.layout.rules.planner import plan

FAKE = Path(__file__).with_name("fake_worker.py")
GROUPS = plan("A red balloon moves left above a house", aspect=1.5, seed=0).groups()
VIDEO = np.random.default_rng(0).integers(0, 20, (5, 8, 12, 3), dtype=np.uint8)


@pytest.fixture
def worker(request: pytest.FixtureRequest) -> Iterator[WorkerSegmenter]:
    segmenter = WorkerSegmenter(Path(sys.executable), FAKE, [request.param])
    yield segmenter
    segmenter.close()


@pytest.mark.parametrize("worker", ["well"], indirect=True)
def test_masks_come_back_and_one_process_serves_all_videos(worker: WorkerSegmenter) -> None:
    names = []
    for video in (VIDEO, VIDEO[::-1].copy()):
        masks = worker.segment(video, GROUPS)
        assert np.array_equal(masks, np.stack([video[..., 0] > len("red balloon"), video[..., 1] > len("house")]))
        names.append(worker.name)
    assert names[0] == names[1] and "fake, process" in names[0]


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        ("dies", "exited with code 3: out of luck"),
        ("refuses", "no weights"),
        ("other version", "has version 2, not 1"),
        ("wrong shape", r"masks are bool \(2, 4, 8, 12\), not bool \(2, 5, 8, 12\)"),
        ("pickles", "allow_pickle"),
        ("silent", "done.json"),
    ],
    indirect=["worker"],
)
def test_what_goes_wrong_is_one_clear_error(worker: WorkerSegmenter, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        worker.segment(VIDEO, GROUPS)
    assert caught.value.remedy is not None and "make env-grounding" in caught.value.remedy


def test_a_missing_environment_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="groundingdino-py and sam2 is missing") as caught:
        WorkerSegmenter(tmp_path / "bin" / "python")
    assert caught.value.remedy is not None and caught.value.remedy.startswith("make env-grounding")
