"""How long the stages of a run take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Wall seconds of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start

    def report(self) -> dict[str, float]:
        """Seconds that this call spent on each stage (load: 0 if the model was there), and in all."""
        return {
            stage: round(s, 3) for stage, s in (self.seconds | {"total": time.perf_counter() - self._start}).items()
        }
