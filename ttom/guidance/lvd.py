"""LVD (LLM-grounded Video Diffusion, arXiv 2309.17444): latents follow the gradient of an attention energy.

It is the paper's main baseline, on the same blocks and layouts as test-time optimization: before each of the first
steps the latents themselves are optimized; nothing is trained, so a memory has nothing to keep. Only the conditional
branch is used. Where LVD leaves something open or speaks of a U-Net, our choice is written at `energy`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ttom.errors import UserError
from ttom.guidance.gradients import frozen, refuse_inference_mode
from ttom.guidance.protocol import Outcome, Part, Step
from ttom.layout.raster import regions
from ttom.types import Stage

if TYPE_CHECKING:
    from ttom.config import LVDConfig
    from ttom.prepare import Prepared


class LatentOptimization(Part):
    """Moves the latents down the energy's gradient before each of the first ``lvd.share`` of the steps.

    ``losses`` are the energies, each before its update. ``maps_before`` are those of the first iteration,
    ``maps_after`` those at the last guided step after its last update.

    Args:
        prepared: The sample; it needs a layout.

    Raises:
        UserError: For blocks out of range, an energy that is not finite, or within torch.inference_mode.
    """

    stage: Stage = "optimize"

    def __init__(self, prepared: Prepared) -> None:
        settings, backbone, layout = prepared.settings, prepared.backbone, prepared.layout
        assert layout is not None, "LVD needs a layout"
        backbone.check_blocks(settings.tto.targets)
        self.prepared, self.config = prepared, settings.lvd
        self.steps = max(1, round(settings.lvd.share * settings.sampler.steps))
        size = settings.sampler.size
        compression = backbone.temporal_compression
        where = {"frames": size.frames, "temporal_compression": compression}
        self._inside = regions(layout, backbone.token_grid(size), shape="box", **where).bool().to(backbone.device)
        self._owners = [n for n, tokens in enumerate(prepared.tokens) for _ in tokens]
        self._losses: list[list[float]] = []
        self._maps: list[Tensor] = []

    def __enter__(self) -> Self:
        refuse_inference_mode()
        return self

    def before(self, step: Step) -> Tensor:
        if step.index >= self.steps:
            return step.latents
        self._losses.append([])
        latents = step.latents
        with frozen(self.prepared.backbone.transformer):
            for _ in range(self.config.iterations):
                latents = self._update(latents, step)
                stop = self.config.stop_energy
                if stop is not None and self._losses[-1][-1] < stop:
                    break
            if step.index == self.steps - 1:
                with torch.no_grad():
                    self._keep(self._token_maps(latents, step))
        return latents

    def outcome(self) -> Outcome:
        return Outcome(self._losses, maps_before=self._maps[0], maps_after=self._maps[-1])

    def _update(self, latents: Tensor, step: Step) -> Tensor:
        with torch.enable_grad():
            moving = latents.detach().requires_grad_()
            maps = self._token_maps(moving, step)
            value = energy(maps, self._inside, self._owners, self.config)
            (gradient,) = torch.autograd.grad(value, moving)
        if not self._maps:
            self._keep(maps.detach())
        self._losses[-1].append(value.item())
        if not math.isfinite(value.item()) or not bool(gradient.isfinite().all()):
            raise UserError(
                "the attention energy or its gradient is not a finite number",
                remedy=f"a smaller `lvd.scale` (it is {self.config.scale}), or `dtype=float32`",
            )
        done = step.index * self.config.iterations + len(self._losses[-1])
        step.progress("optimize", done, self.steps * self.config.iterations, value.item())
        return latents - self.config.scale * gradient

    def _token_maps(self, latents: Tensor, step: Step) -> Float[Tensor, "K T F H W"]:
        """Maps of the T single text tokens of all objects."""
        prepared = self.prepared
        tokens = [[token] for tokens in prepared.tokens for token in tokens]
        where = (prepared.text.positive, tokens, prepared.settings.tto.targets)
        return prepared.backbone.object_maps(latents, step.timestep, *where)

    def _keep(self, maps: Float[Tensor, "K T F H W"]) -> None:
        """Means over blocks and over each object's tokens."""
        owners, maps = torch.tensor(self._owners), maps.mean(dim=0).cpu()
        self._maps.append(torch.stack([maps[owners == n].mean(dim=0) for n in range(len(self._inside))]))


def energy(
    maps: Float[Tensor, "K T F H W"], inside: Bool[Tensor, "N F H W"], owners: list[int], config: LVDConfig
) -> Float[Tensor, ""]:
    """LVD's energy: summed over frames; mean over blocks, over objects, and over the tokens of an object.

    In a frame: 1 minus the mean of the largest values inside the boxes, plus ``outside`` times the mean of the largest
    values outside, of the share ``top`` of the cells on either side (one cell at least). Where an object is out of the
    picture there is only the second term. Values are the shares of attention, mean over heads.

    With ``center`` above 0, that times the squared distance of the centers of mass of map and boxes, plus ``velocity``
    times the squared difference of their displacements to the next frame; both in cells.

    Args:
        maps: Attention maps of T text tokens in K blocks.
        inside: Cells inside the objects' boxes.
        owners: Which of the N objects each token belongs to.
        config: Its weights.

    Returns:
        Scalar, differentiable with respect to maps.
    """
    objects = []
    for n in range(len(inside)):
        chosen = [t for t, owner in enumerate(owners) if owner == n]
        frames = maps[:, chosen].flatten(-2)  # (K, tokens, F, cells)
        total = frames.new_zeros(())
        for f, cells in enumerate(inside[n].flatten(-2)):
            if cells.any():
                total = total + 1 - _largest(frames[:, :, f, cells], config.top)
            if not cells.all():
                total = total + config.outside * _largest(frames[:, :, f, ~cells], config.top)
        if config.center > 0:
            total = total + config.center * _motion(maps[:, chosen], inside[n], config.velocity)
        objects.append(total)
    return torch.stack(objects).mean()


def _largest(values: Float[Tensor, "K T S"], top: float) -> Float[Tensor, ""]:
    """Mean of the largest values of each map, over all maps."""
    return values.topk(max(1, int(top * values.shape[-1]))).values.mean()


def _motion(maps: Float[Tensor, "K T F H W"], inside: Bool[Tensor, "F H W"], velocity: float) -> Float[Tensor, ""]:
    """Squared distances of the centers of mass, and of their moves, summed over the frames that show the object."""
    distance = _center(maps) - _center(inside.to(maps))  # (K, T, F, 2)
    seen = inside.flatten(1).any(dim=1)
    position = distance[:, :, seen].square().sum(dim=-1).mean(dim=(0, 1)).sum()
    moves = distance.diff(dim=2)[:, :, seen[1:] & seen[:-1]].square().sum(dim=-1).mean(dim=(0, 1)).sum()
    return position + velocity * moves


def _center(maps: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch 2"]:
    """Center of mass in cells, as row and column; where there is no mass, the first cell."""
    height, width = maps.shape[-2:]
    mass = maps.sum(dim=(-2, -1)).clamp_min(1e-8)
    rows = maps.sum(dim=-1) @ torch.arange(height, device=maps.device, dtype=maps.dtype) / mass
    columns = maps.sum(dim=-2) @ torch.arange(width, device=maps.device, dtype=maps.dtype) / mass
    return torch.stack((rows, columns), dim=-1)
