"""The same work for many inputs, spread over devices.

A worker is any object whose methods take a job and return its result; it holds the model, which it loads once. One
device is served in this process. Several are served by Ray (the extra `cluster`), one actor per device: an actor that
dies is restarted and its job tried again, while the others go on. The driver, which is this process, hands out jobs and
takes results; nothing else is shared, so actors may live on other hosts.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal, Protocol, TypeVar

from ttom.errors import SetupError, first_line

TRIES = 3
"""How often a job is tried if its worker dies; a job that has killed so many workers is given up."""
_STORE_BYTES = 512 << 20
"""Ray's shared memory on one host, for results on their way; what does not fit is spilled to the disk."""

Job = TypeVar("Job")
MakeWorker = Callable[[str], Any]
"""Makes a worker for a device ("auto", "cpu" or "cuda"). It travels to the actors, so it holds settings, not models."""


@dataclass(frozen=True)
class Devices:
    """Where workers run.

    Attributes:
        count: Number of devices: GPUs where there are any, else CPU processes; "all" for as many as there are. None for
            one in this process, or for all of the cluster that RAY_ADDRESS names.
        per_device: Workers that share a device; small models leave much of a GPU idle.
        device: "auto", "cpu" or "cuda".
    """

    count: int | Literal["all"] | None = None
    per_device: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, value in (("devices", self.count), ("per_device", self.per_device)):
            if isinstance(value, int) and value < 1:
                raise SetupError(f"`{name}` is {value}", expected="a whole number of at least 1")

    @property
    def in_process(self) -> bool:
        """Whether one worker in this process does it all, without Ray."""
        alone = self.count == 1 or (self.count is None and "RAY_ADDRESS" not in os.environ)
        return alone and self.per_device == 1

    def here(self) -> Devices:
        """With this host's number of devices for "all", unless RAY_ADDRESS names a cluster."""
        if self.count != "all" or "RAY_ADDRESS" in os.environ:
            return self
        import torch

        gpus = 0 if self.device == "cpu" else torch.cuda.device_count()
        return replace(self, count=gpus or os.cpu_count() or 1)


@dataclass(frozen=True)
class Lost:
    """In place of a result: the job was given up after its worker had died in each of the tries."""

    tries: int
    reason: str


class Workers(Protocol):
    """Open workers; see `open_workers`. Exceptions of a job are raised where its result is taken."""

    @property
    def count(self) -> int: ...

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of one worker, whichever is free. Raises SetupError if the worker dies each time."""
        ...

    def each(self, method: str, jobs: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
        """Jobs with their results or `Lost`, as they are ready. A job is taken from `jobs` when a worker is free."""
        ...

    def in_order(self, method: str, jobs: Iterable[Job], window: int) -> Iterator[tuple[Job, Any]]:
        """Jobs with their results or `Lost`, in the order of the jobs.

        Job i is taken from `jobs` only after the caller has dealt with result i - window: what it may learn from
        earlier results depends on the window, never on the number of workers.
        """
        ...


@contextmanager
def open_workers(make_worker: MakeWorker, devices: Devices) -> Iterator[Workers]:
    """Workers for the length of the block. None loads its model before the first job.

    Raises:
        SetupError: Ray is needed and not installed, its cluster cannot be reached, or there are fewer devices.
    """
    devices = devices.here()
    if devices.in_process:
        yield _Local(make_worker, devices.device)
        return
    ray = _ray()
    try:
        with _own_handler(signal.SIGTERM):
            actors = _Actors(ray, make_worker, devices)
        yield actors
    finally:
        ray.shutdown()


class _Local:
    """One worker in this process. A job that kills it ends the process, as a driver that dies does."""

    count = 1

    def __init__(self, make_worker: MakeWorker, device: str) -> None:
        self._make_worker, self._device = make_worker, device
        self._worker: Any = None

    def call(self, method: str, *arguments: Any) -> Any:
        if self._worker is None:
            self._worker = self._make_worker(self._device)
        return getattr(self._worker, method)(*arguments)

    def each(self, method: str, jobs: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
        for job in jobs:
            yield job, self.call(method, job)

    def in_order(self, method: str, jobs: Iterable[Job], window: int) -> Iterator[tuple[Job, Any]]:
        source, taken = iter(jobs), deque[Job]()
        while _refill(taken, source, window):
            yield taken[0], self.call(method, taken[0])
            taken.popleft()


class _Actors:
    """One Ray actor per device and share of it."""

    def __init__(self, ray: ModuleType, make_worker: MakeWorker, devices: Devices) -> None:
        self._ray = ray
        resources = _start(ray, devices)
        gpus = 0 if devices.device == "cpu" else int(resources.get("GPU", 0))
        if devices.device == "cuda" and not gpus:
            raise SetupError("there is no GPU", expected="a host or a cluster with GPUs", remedy="`device=cpu`")
        everything = gpus or int(resources.get("CPU", 1))
        wanted = devices.count if isinstance(devices.count, int) else everything
        if gpus and wanted > gpus:
            raise SetupError(
                f"there are {gpus} GPUs, not {wanted}", expected=f"at most {gpus} devices", remedy=f"`devices={gpus}`"
            )
        self.count = wanted * devices.per_device
        options = {"num_cpus": 1, "num_gpus": 1 / devices.per_device if gpus else 0}
        remote = ray.remote(_Actor).options(max_restarts=-1, max_task_retries=TRIES - 1, **options)
        device = devices.device if gpus else "cpu"
        self._actors = [remote.remote(make_worker, device) for _ in range(self.count)]
        self._turn = 0

    def call(self, method: str, *arguments: Any) -> Any:
        result = self._take(self._actors[0].run.remote(method, *arguments))
        if isinstance(result, Lost):
            raise SetupError(f"a worker died {result.tries} times before its first job: {result.reason}")
        return result

    def each(self, method: str, jobs: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
        source, idle = iter(jobs), deque(self._actors)
        running: dict[Any, tuple[Any, Job]] = {}
        self._hand_out(method, source, idle, running)
        while running:
            (ready, *_), _ = self._ray.wait(list(running), num_returns=1)
            actor, job = running.pop(ready)
            result = self._take(ready)
            idle.append(actor)
            self._hand_out(method, source, idle, running)  # before the caller spends time on the result
            yield job, result

    def in_order(self, method: str, jobs: Iterable[Job], window: int) -> Iterator[tuple[Job, Any]]:
        def started() -> Iterator[tuple[Job, Any]]:
            for job in jobs:
                self._turn += 1
                yield job, self._actors[self._turn % self.count].run.remote(method, job)

        source, taken = started(), deque[tuple[Job, Any]]()
        while _refill(taken, source, window):
            job, running = taken[0]
            yield job, self._take(running)
            taken.popleft()

    def _hand_out(
        self, method: str, source: Iterator[Job], idle: deque[Any], running: dict[Any, tuple[Any, Job]]
    ) -> None:
        while idle:
            try:
                job = next(source)
            except StopIteration:
                return
            actor = idle.popleft()
            running[actor.run.remote(method, job)] = actor, job

    def _take(self, running: Any) -> Any:
        """The result; the job's own exception; or Lost."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(running)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, Exception) else error) from None
        except errors.RayActorError as error:  # after the last of its tries
            return Lost(TRIES, first_line(error))


class _Actor:
    """What runs on another process or host. The worker is made with the first job, so that its errors are the job's."""

    def __init__(self, make_worker: MakeWorker, device: str) -> None:
        self._make_worker, self._device = make_worker, device
        self._worker: Any = None

    def run(self, method: str, *arguments: Any) -> Any:
        if self._worker is None:
            self._worker = self._make_worker(self._device)
        try:
            return getattr(self._worker, method)(*arguments)
        except Exception as error:
            if type(error).__name__ == "AcceleratorError":
                os._exit(1)  # no later call on this GPU would work; a fresh process may
            raise


def _refill(taken: deque[Any], source: Iterator[Any], window: int) -> bool:
    """Take jobs until `window` are under way; False once none is left."""
    while len(taken) < window:
        try:
            taken.append(next(source))
        except StopIteration:
            break
    return bool(taken)


@contextmanager
def _own_handler(number: int) -> Iterator[None]:
    """Put the program's signal handler back, in whose place Ray sets one that aborts the process."""
    here = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(number)
    try:
        yield
    finally:
        if here and handler is not None:
            signal.signal(number, handler)


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # actors without a GPU see none
    try:
        import ray
    except ImportError:
        raise SetupError(
            "several devices need Ray, which is not installed",
            remedy="pip install 'ttom[cluster]', or one process per device with a shard each",
        ) from None
    return ray


def _start(ray: ModuleType, devices: Devices) -> dict[str, float]:
    """Connect to the cluster of RAY_ADDRESS, or start one on this host; returns its resources."""
    address = os.environ.get("RAY_ADDRESS")
    quiet = {"log_to_driver": False, "logging_level": "error"}
    for last in (bool(address), True):  # a host that is busy may need more than the half minute that Ray waits for it
        try:
            if address:
                ray.init(address, **quiet)
            else:
                # "local": never somebody else's cluster that happens to run on this host.
                workers = (devices.count if isinstance(devices.count, int) else 1) * devices.per_device
                own = {"num_cpus": max(workers, os.cpu_count() or 1), "object_store_memory": _STORE_BYTES}
                ray.init("local", include_dashboard=False, **own, **quiet)
            break
        except Exception as error:  # Ray raises plain ones too
            ray.shutdown()
            if last:
                where = f"the Ray cluster at {address} cannot be reached" if address else "Ray cannot start here"
                raise SetupError(f"{where}: {first_line(error)}", remedy="a shard per process instead") from None
    resources: dict[str, float] = ray.cluster_resources()
    return resources
