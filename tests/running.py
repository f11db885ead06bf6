"""Runs of one prepared sample, for tests that need no planner, memory or decoding."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ttom.guidance import Part
from ttom.guidance.tto.parts import LoadedAdapter, TestTimeOptimization
from ttom.prepare import Prepared
from ttom.sampler import Sampled, Sampler
from ttom.types import Progress, no_progress

__test__ = False


def run(prepared: Prepared, *parts: Part, progress: Progress = no_progress, finish: bool = True) -> Sampled:
    """Denoise with parts; the plain model without any."""
    sampler = Sampler(prepared.backbone, prepared.text, prepared.settings.sampler, prepared.seed)
    return sampler.run(prepared.latents, parts, progress=progress, finish=finish)


def run_tto(
    prepared: Prepared, adapter: dict[str, Tensor] | None = None, logger: Any = None, **options: Any
) -> Sampled:
    """Denoise with test-time optimization."""
    return run(prepared, TestTimeOptimization(prepared, adapter, logger), **options)


def run_loaded(prepared: Prepared, adapter: dict[str, Tensor]) -> Sampled:
    """Denoise with an adapter as it is."""
    return run(prepared, LoadedAdapter(prepared, adapter))
