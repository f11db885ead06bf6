"""Reading maps during a stock forward: processors exchanged for a while, and an end as soon as all are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Processor = TypeVar("Processor")


class StopForward(Exception):
    """Raised inside the last target block once its map is read: nothing after it feeds the loss."""


@contextmanager
def exchanged(modules: dict[int, Any], processors: dict[int, Processor]) -> Iterator[dict[int, Processor]]:
    """Within the context each block's attention module has our processor; StopForward ends the context quietly.

    The forward is the stock one, ended by an exception that this context swallows: hooks (offloading, LoRA scale,
    gradient checkpointing) keep working and no copy of diffusers' code can fall behind it. The original processors
    are back when the context ends, however it ends. With gradient checkpointing the backward must run inside.

    Args:
        modules: The attention module of each target block.
        processors: What stands in for its processor.

    Yields:
        The processors.
    """
    originals = {b: module.processor for b, module in modules.items()}
    try:
        for b, module in modules.items():
            module.processor = processors[b]
        yield processors
    except StopForward:
        pass
    finally:
        for b, module in modules.items():
            module.processor = originals[b]
