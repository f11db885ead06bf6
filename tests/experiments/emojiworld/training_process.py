"""One of several processes that train together (see test_training.py): training_process.py FOLDER"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from experiments.emojiworld.training import Run, join_processes, leave_processes

STEPS, PROCESSES = 6, 2


def part(step: int, rank: int) -> Tensor:
    """The inputs of a process in a step."""
    return torch.randn(16, 4, generator=torch.Generator().manual_seed(PROCESSES * step + rank))


def train(folder: Path, parts: list[int]) -> Run:
    """Train on the inputs of these processes, all with the same start."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
    run = Run(folder, model, lr=1e-2, minutes=1000.0, ema=0.9)
    for step in range(STEPS):
        x = torch.cat([part(step, rank) for rank in parts])
        run.update(((model(x) - x.sum(1, keepdim=True)) ** 2).mean())
    return run


def main() -> None:
    folder = Path(sys.argv[1])
    join_processes()
    rank = torch.distributed.get_rank()
    run = train(folder, [rank])
    save_file({name: p.detach().cpu() for name, p in run.named.items()}, folder / f"process-{rank}.safetensors")
    run.save()
    leave_processes()


if __name__ == "__main__":
    main()
