"""Work on one device and on Ray's actors: the same results, whoever dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ttom.errors import SetupError, UserError
from ttom.parallel import TRIES, Devices, Lost, Workers, open_workers


@dataclass(frozen=True)
class Doubling:
    """Makes workers that double numbers; 13 kills its worker once, 666 always, -1 is refused."""

    folder: str

    def __call__(self, device: str) -> Doubler:
        assert device in ("cpu", "auto")
        return Doubler(Path(self.folder))


class Doubler:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def double(self, number: int) -> int:
        (self.folder / f"{number}-{time.time_ns()}").touch()
        if number == 666 or (number == 13 and len(list(self.folder.glob("13-*"))) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise UserError(f"the number is {number}", expected="at least 0", remedy="1")
        return 2 * number

    def process(self, *_: object) -> int:
        time.sleep(0.05)
        return os.getpid()


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_one_device_is_this_process(tmp_path: Path) -> None:
    with open_workers(Doubling(str(tmp_path)), Devices()) as workers:
        assert workers.count == 1 and workers.call("process") == os.getpid()
        assert list(workers.each("double", [1, 2, 3])) == [(1, 2), (2, 4), (3, 6)]
        with pytest.raises(UserError, match="the number is -1"):
            list(workers.each("double", [-1]))


def taken(workers: Workers, window: int) -> list[tuple[int, int]]:
    """For each job the number of results that the caller had seen when it was taken."""
    seen, states = 0, []

    def jobs() -> Iterator[int]:
        for number in range(6):
            states.append((number, seen))
            yield number

    for number, result in workers.in_order("double", jobs(), window):
        assert (number, result) == (seen, 2 * seen)
        seen += 1
    return states


@pytest.mark.parametrize("window", [1, 2, 4, 9])
def test_what_a_job_can_learn_from_depends_on_the_window(tmp_path: Path, window: int) -> None:
    with open_workers(Doubling(str(tmp_path)), Devices()) as workers:
        assert taken(workers, window) == [(number, max(0, number - window + 1)) for number in range(6)]


@pytest.mark.parametrize("options", [{"count": 0}, {"per_device": 0}, {"count": -1}])
def test_impossible_numbers(options: dict[str, int]) -> None:
    with pytest.raises(SetupError, match="expected: a whole number of at least 1"):
        Devices(**options)


def test_two_actors(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with open_workers(Doubling(str(tmp_path)), Devices(2, device="cpu")) as workers:
        assert workers.count == 2
        assert len({pid for _, pid in workers.each("process", range(6))} - {os.getpid()}) == 2
        assert taken(workers, 3) == [(number, max(0, number - 2)) for number in range(6)]
        with pytest.raises(UserError, match="the number is -1") as told:
            list(workers.each("double", [-1]))
        assert (told.value.expected, told.value.remedy) == ("at least 0", "1")
        assert "Traceback" not in str(told.value)
        results = dict(workers.each("double", [1, 13, 666, *range(20, 30)]))
        assert isinstance(results.pop(666), Lost) and results == {number: 2 * number for number in results}
        assert len(results) == 12 and len(list(tmp_path.glob("666-*"))) == TRIES
        assert len(list(tmp_path.glob("13-*"))) == 2 and len(list(tmp_path.glob("20-*"))) == 1


def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "not an address")
    with pytest.raises(SetupError, match="cannot be reached"), open_workers(Doubling(""), Devices(device="cpu")):
        pass


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SetupError, match="(?s)which is not installed.*shard"), open_workers(Doubling(""), Devices(2)):
        pass
