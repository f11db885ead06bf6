"""What the worker processes of the ScenePool test call; they import it by name."""

from __future__ import annotations

import random

import torch
from torch import Tensor


def draw(seed: int, count: int) -> dict[str, Tensor]:
    rng = random.Random(seed)
    threads = torch.full((count,), torch.get_num_threads())
    return {"numbers": torch.tensor([rng.random() for _ in range(count)]), "threads": threads}
