"""What the training scripts share: a time budget, EMA, logging, and checkpoints in safetensors and JSON."""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from experiments.emojiworld.muon import StackedMuon
from ttom import files

SAVE_SECONDS = 60.0
"""How much training a killed run can lose."""
WARM_UP = 200
"""Steps until the learning rate is at its peak, at the start and after a run resumes without its optimizer state."""


def join_processes() -> str:
    """The device of this process: one a GPU when torchrun started the script, which then work together."""
    if "LOCAL_RANK" not in os.environ:
        return "cuda" if torch.cuda.is_available() else "cpu"
    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device != "cpu" else "gloo")
    return device


def leave_processes() -> None:
    """Undo `join_processes`."""
    if dist.is_initialized():
        # A process that ended while another still saved aborted at times (gloo's threads, 6 of 51 runs; 0 of 48 now).
        dist.barrier()
        dist.destroy_process_group()


class Run:
    """A training run that stops when its minutes are used up, and resumes from its last checkpoint.

    Args:
        folder: Holds weights.safetensors, ema.safetensors, optimizer.safetensors, state.json and log.jsonl, saved once
            a minute and when the script says so. Weights without an optimizer state are resumed from, too.
        model: What is trained.
        lr: Peak learning rate: a short warm-up, flat, then linearly to zero over the last 40% of the minutes.
        minutes: Total training time, including earlier parts of a resumed run.
        ema: Decay of the averaged weights; a warm-up keeps early weights out of it.
        muon: Which matrices, by name, Muon updates instead of AdamW, with updates of the same size.

    Under torchrun every process holds the same weights: gradients are averaged, rank 0 keeps the time and saves.
    Metrics go to log.jsonl and, where wandb is installed, to its project "ttom-emojiworld": online if WANDB_API_KEY is
    set, else offline.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        *,
        lr: float,
        minutes: float,
        ema: float = 0.998,
        weight_decay: float = 0.01,
        muon: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.folder, self.model, self.lr, self.minutes, self.decay = folder, model, lr, minutes, ema
        folder.mkdir(parents=True, exist_ok=True)
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        kept = model.state_dict()
        self.buffers = {name: b for name, b in model.named_buffers() if name in kept}
        cuda = next(iter(self.named.values())).is_cuda
        matrices = [p for name, p in self.named.items() if muon(name)]
        others = [p for name, p in self.named.items() if not muon(name)]
        adamw = torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=cuda)
        self.optimizers: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            self.optimizers.append(StackedMuon(matrices, lr=lr, weight_decay=weight_decay))
        self.states = {name: self.optimizers[1 if muon(name) else 0].state for name in self.named}
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.step, self.warm_from, self.seconds_before = 0, 0, 0.0
        self.wandb_id = f"{folder.name}-{secrets.token_hex(4)}"
        self.average = {name: p.detach().clone() for name, p in self.named.items()}
        if (folder / "state.json").exists() and (folder / "ema.safetensors").exists():
            self._resume()
        self.started = self.saved = time.monotonic()
        self.agreed = self.seconds_before
        self.recent: dict[str, Tensor] = {}
        self.wandb = self._wandb() if self.rank == 0 else None

    def _wandb(self):  # type: ignore[no-untyped-def]
        """A W&B run, the same one when resumed; None where wandb is not installed."""
        try:
            import wandb
        except ImportError:
            if os.environ.get("WANDB_API_KEY"):
                print("WANDB_API_KEY is set, but wandb is not installed: no W&B log (pip install wandb)", flush=True)
            return None
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        return wandb.init(
            project="ttom-emojiworld",
            name=self.folder.name,
            id=self.wandb_id,
            resume="allow" if mode == "online" else None,  # wandb cannot resume a run offline
            mode=mode,
            dir=self.folder,
            config={"lr": self.lr, "minutes": self.minutes, "ema": self.decay},
        )

    def _clock(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    @property
    def seconds(self) -> float:
        """Training time, earlier parts included; under torchrun rank 0's at the last step, the same on every rank."""
        return self._clock() if self.world == 1 else self.agreed

    def _agree_on_time(self) -> None:
        """Take rank 0's clock, so that all stop, and lower their rates, at the same step."""
        now = torch.tensor([self._clock()], dtype=torch.float64)
        dist.broadcast(now, 0)
        self.agreed = now.item()

    def _average_gradients(self) -> None:
        grads = [p.grad for p in self.named.values() if p.grad is not None]
        together = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(together)
        together /= self.world
        parts = together.split([grad.numel() for grad in grads])
        torch._foreach_copy_(grads, [part.view_as(grad) for part, grad in zip(parts, grads, strict=True)])

    @property
    def progress(self) -> float:
        """Share of the minutes used, 0..1."""
        return min(1.0, self.seconds / (self.minutes * 60))

    @property
    def done(self) -> bool:
        return self.progress >= 1

    def update(self, loss: Tensor, **figures: Tensor) -> None:
        """One optimizer step on the loss, and the EMA."""
        if self.world > 1:
            self._agree_on_time()
        rate = self.lr * min(1.0, (self.step - self.warm_from + 1) / WARM_UP, max(0.01, (1 - self.progress) / 0.4))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate
        loss.backward()
        if self.world > 1:
            self._average_gradients()
        torch.nn.utils.clip_grad_norm_(list(self.named.values()), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        keep = min(self.decay, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.named.values()), 1 - keep)
        for name, value in {"loss": loss, **figures}.items():
            value = value.detach()
            self.recent[name] = torch.lerp(self.recent.get(name, value), value, 0.05)
        if time.monotonic() - self.saved > SAVE_SECONDS:
            self.save()

    def log(self, every: int = 100, **figures: float) -> None:
        if self.rank or (self.step % every and not figures):
            return
        row: dict[str, float] = {"step": self.step, "seconds": round(self.seconds, 1)}
        row |= {name: round(float(value), 5) for name, value in self.recent.items()}
        row |= {name: round(value, 5) for name, value in figures.items()}
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        if self.wandb:
            self.wandb.log(row, step=self.step)

    def save(self) -> None:
        self.saved = time.monotonic()
        if self.rank:
            return
        moments = {}
        for name, p in self.named.items():
            for key, value in self.states[name][p].items():
                moments[f"{name}:{key}"] = value
        weights = {**self.named, **self.buffers}
        state = {"step": self.step, "seconds": self._clock(), "wandb_id": self.wandb_id}
        with files.staged(self.folder) as stage:
            for stem, tensors in (("weights", weights), ("ema", self.average), ("optimizer", moments)):
                save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, stage / f"{stem}.safetensors")
            (stage / "state.json").write_text(json.dumps(state))

    def _resume(self) -> None:
        state = json.loads((self.folder / "state.json").read_text())
        self.step, self.seconds_before = state["step"], state["seconds"]
        self.wandb_id = state.get("wandb_id", self.wandb_id)
        average = load_file(self.folder / "ema.safetensors")
        weights, moments = (self._read(stem) for stem in ("weights", "optimizer"))
        if not weights:  # a finished run that was carried here: its average is all there is
            weights = average
        if not moments:
            self.warm_from = self.step
        with torch.no_grad():
            for name, buffer in self.buffers.items():  # batch norm's averages
                if name in weights:
                    buffer.copy_(weights[name])
            for name, p in self.named.items():
                p.copy_(weights[name])
                self.average[name].copy_(average[name])
                keys = [key for key in moments if key.rpartition(":")[0] == name]
                if not keys:
                    continue
                self.states[name][p] = {
                    key.rpartition(":")[2]: moments[key].to(
                        "cpu" if key.endswith(":step") and not p.is_cuda else p.device
                    )
                    for key in keys
                }
        print(f"{self.folder}: resuming at step {self.step}, {self.seconds_before:.0f} s", flush=True)

    def _read(self, stem: str) -> dict[str, Tensor]:
        file = self.folder / f"{stem}.safetensors"
        return load_file(file) if file.exists() else {}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _make_arrays(make: Callable[[int, int], dict[str, Tensor]], seed: int, count: int) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in make(seed, count).items()}


class ScenePool:
    """Batches of scenes that worker processes prepare ahead of the GPU.

    Args:
        make: Top-level function (seed, count) -> dict of stacked CPU tensors.
        count: Scenes per batch.
        workers: Processes.
    """

    def __init__(self, make: Callable[[int, int], dict[str, Tensor]], count: int, *, seed: int, workers: int) -> None:
        # Spawned: a fork of a process whose thread pools run can hang forever in its first parallel operation.
        self.executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread)
        self.make, self.count = make, count
        self.seeds = iter(random.Random(seed).sample(range(2**31), 100_000))
        self.waiting = [self._submit() for _ in range(2 * workers)]

    def _submit(self):  # type: ignore[no-untyped-def]
        return self.executor.submit(_make_arrays, self.make, next(self.seeds), self.count)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while True:
            ready = self.waiting.pop(0)
            self.waiting.append(self._submit())
            yield {name: torch.from_numpy(array) for name, array in ready.result().items()}

    def close(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)
