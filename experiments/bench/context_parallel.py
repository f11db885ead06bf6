"""One video on several GPUs: torchrun --nproc-per-node 2 -m experiments.bench.context_parallel --out RESULT.json

Measures what diffusers' context parallelism saves (Ulysses: each GPU has part of the video's tokens, and in
self-attention part of the heads): seconds and peak memory of a forward and of an iteration of the optimization on one
GPU and on all of them, with random weights at the official size, and how far the LoRA's gradients are from those of one
GPU. Wan only, since diffusers has no such plan for CogVideoX.

An iteration is the forward and backward of a fixed weighting of the maps, so its gradient is the sum over GPUs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from torch import Tensor

from experiments.bench.real_measure import Meter, free_memory
from experiments.bench.real_models import MODELS, TOKENS, Model, build, text_embedding
from experiments.emojiworld.training import join_processes, leave_processes
from ttom import provenance
from ttom.guidance.tto.adapter import LoraAdapter

WAN = [name for name, model in MODELS.items() if model.pipeline == "WanPipeline"]


class Work:
    """A forward and an iteration at the first noise level, on this process's part of the tokens."""

    def __init__(self, model: Model, device: torch.device, block: int) -> None:
        # float32 for a tiny model, whose gradients are to be equal, not equal within rounding.
        self.backbone = build(model, str(device), torch.float32 if model.tiny else torch.bfloat16)
        self.block = (block,)
        self.latents = self.backbone.initial_latents(model.size, 0)
        self.text = text_embedding(model, device, self.backbone.dtype, 0)
        self.timestep = torch.tensor(900.0, device=device)
        self.adapter = LoraAdapter(self.backbone, model.settings.adapter, self.block, seed=0)
        self.adapter.attach()
        for i, parameter in enumerate(self.adapter.parameters()):  # B starts at 0, where A has no gradient
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)).to(device) / 100
        grid = self.backbone.token_grid(model.size)
        count = grid.frames * grid.height * grid.width
        self.weights = torch.rand(len(TOKENS), count, generator=torch.Generator().manual_seed(0)).to(device)

    @torch.no_grad()
    def forward(self) -> None:
        self.backbone.denoise(self.latents, self.timestep, self.text)

    def iteration(self, parts: int = 1, part: int = 0) -> list[Tensor]:
        """Gradients of the LoRA, summed over the processes if the tokens are split."""
        for parameter in self.adapter.parameters():
            parameter.grad = None
        backbone: Any = self.backbone
        with backbone._captured(self.block, TOKENS) as readers:
            self.backbone.denoise(self.latents, self.timestep, self.text)
        maps = readers[self.block[0]].maps
        assert maps is not None and maps.shape[2] * parts == self.weights.shape[1]
        (maps[0] * self.weights.chunk(parts, 1)[part]).sum().backward()
        gradients = [p.grad for p in self.adapter.parameters() if p.grad is not None]
        if parts > 1:
            for gradient in gradients:
                dist.all_reduce(gradient)
        return gradients


def measured(work: Callable[[], Any], device: torch.device, runs: int) -> dict[str, Any]:
    """Seconds and peak memory of ``runs`` calls and of a first one; all processes start each call together."""
    meter = Meter(device)
    for i in range(runs + 1):
        dist.barrier()
        meter.mark(None)
        work()
        meter.mark("call" if i else "warm-up")
    return meter.report()


def compare(model: Model, device: torch.device, block: int, runs: int) -> dict[str, Any]:
    """A forward and an iteration on one GPU and on all, and the relative distance of the gradients."""
    work, parts, rank = Work(model, device, block), dist.get_world_size(), dist.get_rank()
    found: dict[str, Any] = {"block": block}
    found["one"] = {
        "forward": measured(work.forward, device, runs),
        "iteration": measured(work.iteration, device, runs),
    }
    alone = [gradient.clone() for gradient in work.iteration()]
    transformer: Any = work.backbone.transformer
    with patch.object(torch.accelerator, "device_count", lambda: parts):  # diffusers divides by it, and a CPU has none
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=parts))
    together = {
        "forward": measured(work.forward, device, runs),
        "iteration": measured(lambda: work.iteration(parts, rank), device, runs),
    }
    shared = work.iteration(parts, rank)
    distance = sum((a - b).square().sum().item() for a, b in zip(alone, shared, strict=True))
    size = sum(a.square().sum().item() for a in alone)
    return found | {"all": together, "gradient_distance": (distance / size) ** 0.5}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--models", nargs="+", choices=WAN, default=WAN, help="both by default")
    parser.add_argument("--block", type=int, default=3, help="target block of the iteration")
    parser.add_argument("--runs", type=int, default=3, help="forwards or iterations to time")
    parser.add_argument("--tiny", action="store_true", help="small parts of the same classes, to test it on a CPU")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    device = torch.device(join_processes())
    result: dict[str, Any] = {"processes": dist.get_world_size(), "models": {}}
    result["provenance"] = provenance.environment(device) | {"arguments": {k: str(v) for k, v in vars(options).items()}}
    for name in options.models:
        model = MODELS[name].small() if options.tiny else MODELS[name]
        free_memory(device)  # of the previous model
        result["models"][name] = compare(model, device, options.block, options.runs)
        if dist.get_rank() == 0:
            options.out.write_text(json.dumps(result, indent=1) + "\n")
            print(json.dumps({name: result["models"][name]}), flush=True)
    leave_processes()


if __name__ == "__main__":
    main()
