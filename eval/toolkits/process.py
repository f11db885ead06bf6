"""Programs of other environments: run with a log, ended together with us."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from ttom.errors import UserError, cut_short

Item = TypeVar("Item")
_GRACE = 10.0
"""Seconds that a program gets to end by itself."""


@dataclass
class Programs:
    """Programs that run now; each leads a process group, so that its own children end with it."""

    running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def run(self, command: Sequence[str], cwd: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Run a program to its end; what it prints is appended to the log.

        Raises:
            UserError: It cannot be started, fails, or was stopped.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as output:
            output.write(f"\n$ cd {cwd}\n$ {' '.join(command)}\n".encode())
            output.flush()
            start = output.tell()
            process = self._start(command, cwd, output.fileno(), environment)
            try:
                code = process.wait()
            finally:
                with self.lock:
                    self.running.discard(process)
        if code:
            raise UserError(
                f"{Path(command[0]).name} {Path(command[1]).name} failed with code {code}: {_last_line(log, start)}",
                remedy=f"see {log}",
            )

    def _start(
        self, command: Sequence[str], cwd: Path, output: int, environment: Mapping[str, str] | None
    ) -> subprocess.Popen[bytes]:
        with self.lock:
            if self.stopped:
                raise UserError("stopped before it could start")
            try:
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
            except OSError as error:
                raise UserError(f"{command[0]} cannot be run: {error.strerror}", expected="a Python") from None
            self.running.add(process)
            return process

    def stop(self) -> None:
        """End all programs, and let none start."""
        with self.lock:
            self.stopped = True
            running = list(self.running)
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)


def on_gpus(
    work: Callable[[Item, str | None], object], items: Iterable[Item], gpus: Sequence[str], programs: Programs
) -> list[UserError]:
    """Do the work for every item, one on each GPU at a time; without GPUs, one at a time.

    Args:
        work: Takes an item, and the number of its GPU or None. A UserError ends this item alone.
        programs: Those that the work runs; they are stopped if this is interrupted.

    Returns:
        The UserErrors.
    """
    free: SimpleQueue[str | None] = SimpleQueue()
    for gpu in gpus or (None,):
        free.put(gpu)

    def one(item: Item) -> UserError | None:
        gpu = free.get()
        try:
            work(item, gpu)
        except UserError as error:
            return error
        finally:
            free.put(gpu)
        return None

    with ThreadPoolExecutor(max(len(gpus), 1)) as pool:
        futures = [pool.submit(one, item) for item in items]
        try:
            return [error for future in futures if (error := future.result()) is not None]
        except BaseException:
            programs.stop()  # the pool waits for what it runs
            pool.shutdown(cancel_futures=True)
            raise


def gpu_environment(gpu: str | None) -> dict[str, str]:
    """What makes a program see one GPU alone."""
    return {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)  # its own session, so that the group is its own, too


def _last_line(log: Path, start: int) -> str:
    with open(log, "rb") as file:
        file.seek(max(start, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return cut_short(lines[-1].strip(), 200) if lines else "it said nothing"
