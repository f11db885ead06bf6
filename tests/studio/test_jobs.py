"""The queue, with work that needs no model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ttom.errors import UserError
from ttom.studio import jobs as module
from ttom.studio import record
from ttom.studio.errors import Refused
from ttom.studio.jobs import Job, Jobs
from ttom.studio.record import Order

SECONDS = 20


class Steps:
    """Work that takes one step whenever it is told to, and looks at each whether it is to end."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.at_once = 0
        self.most = 0
        self._go = threading.Semaphore(0)

    def __call__(self, job: Job) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.began.append(job.record.order.prompt)
        try:
            for step in range(3):
                while not self._go.acquire(timeout=0.01):
                    job.check()
                job.check()
                job.update(step=step + 1)
        finally:
            self.at_once -= 1

    def finish(self, jobs: int = 1) -> None:
        for _ in range(3 * jobs):
            self._go.release()


@pytest.fixture
def work() -> Steps:
    return Steps()


@pytest.fixture
def queue(tmp_path: Path, work: Steps) -> Iterator[Jobs]:
    made = Jobs(tmp_path, work)
    yield made
    assert made.close(SECONDS)


def order(prompt: str = "a cat") -> Order:
    return Order(prompt=prompt)


def until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.005)


def state(queue: Jobs, id_: str) -> str:
    return queue.view(id_)["state"]


def test_one_at_a_time_in_the_order_in_which_they_came(queue: Jobs, work: Steps) -> None:
    ids = [queue.submit(order(f"cat {n}"), None) for n in range(4)]
    until(lambda: len(work.began) == 1)
    assert [queue.view(id_)["position"] for id_ in ids] == [0, 1, 2, 3]
    work.finish(4)
    until(lambda: state(queue, ids[-1]) == "done")
    assert work.began == [f"cat {n}" for n in range(4)] and work.most == 1
    assert [run["id"] for run in queue.views()] == ids[::-1]  # newest first


def test_cancelling_ends_that_job_alone_and_frees_the_next(queue: Jobs, work: Steps) -> None:
    first, second, third = (queue.submit(order(str(n)), None) for n in "abc")
    until(lambda: work.began == ["a"])
    queue.cancel(second)
    assert state(queue, second) == "cancelled" and state(queue, first) == "running"
    queue.cancel(first)
    until(lambda: state(queue, first) == "cancelled")
    until(lambda: work.began == ["a", "c"])  # not b
    queue.cancel(first)  # again: nothing happens
    assert state(queue, third) == "running"
    work.finish()
    until(lambda: state(queue, third) == "done")
    queue.cancel(third)
    assert state(queue, third) == "done"


@pytest.mark.parametrize("error", [UserError("no", expected="yes", remedy="do"), ValueError("a bug\x1b[31m")])
def test_a_failed_job_says_why_and_the_next_one_runs(tmp_path: Path, error: Exception) -> None:
    def work(job: Job) -> None:
        if job.record.order.prompt == "bad":
            raise error

    queue = Jobs(tmp_path, work)
    bad, good = queue.submit(order("bad"), None), queue.submit(order("good"), None)
    until(lambda: state(queue, good) == "done")
    told = queue.view(bad)
    assert told["state"] == "failed" and str(error).split("\n")[0][:5] in told["error"]["problem"]
    assert "\x1b" not in told["error"]["problem"]
    assert queue.close(SECONDS)


def test_the_history_outlives_the_process_and_unfinished_runs_are_failed(tmp_path: Path, work: Steps) -> None:
    queue = Jobs(tmp_path, work)
    done, half = queue.submit(order("done"), None), queue.submit(order("half"), None)
    work.finish()
    until(lambda: len(work.began) == 2)
    # What a killed process leaves: no thread of it says anything any more. So look at the folder with another queue.
    other = Jobs(tmp_path, work)
    assert state(other, done) == "done"
    found = other.view(half)
    assert found["state"] == "failed" and "ended before" in found["error"]["problem"]
    assert other.close(SECONDS) and queue.close(SECONDS)


def test_closing_cancels_everything_and_takes_no_more(tmp_path: Path, work: Steps) -> None:
    ended = []
    queue = Jobs(tmp_path, work, finish=lambda: ended.append(threading.current_thread().name))
    ids = [queue.submit(order(), None) for _ in range(3)]
    until(lambda: len(work.began) == 1)
    assert queue.close(SECONDS) and ended == ["ttom-studio"]
    assert [record.load(tmp_path, id_).state for id_ in ids] == ["cancelled"] * 3
    with pytest.raises(Refused):
        queue.submit(order(), None)


def test_the_queue_is_bounded(queue: Jobs, monkeypatch: pytest.MonkeyPatch, work: Steps) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    queue.submit(order("running"), None)
    until(lambda: len(work.began) == 1)
    for _ in range(2):
        queue.submit(order(), None)
    with pytest.raises(Refused) as error:
        queue.submit(order(), None)
    assert error.value.status == 429


def test_only_ended_runs_can_be_deleted(queue: Jobs, work: Steps, tmp_path: Path) -> None:
    id_ = queue.submit(order(), None)
    with pytest.raises(Refused) as error:
        queue.remove(id_)
    assert error.value.status == 409 and (tmp_path / id_ / "run.json").is_file()
    work.finish()
    until(lambda: state(queue, id_) == "done")
    queue.remove(id_)
    assert not (tmp_path / id_).exists()
    with pytest.raises(Refused) as error:
        queue.view(id_)
    assert error.value.status == 404
