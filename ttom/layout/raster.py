"""From boxes to soft masks on the token grid of a backbone. Dimension letters: see ttom/types.py."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ttom.config import Mask, Region
from ttom.errors import UserError
from ttom.layout.model import Box, Layout, ObjectGroup
from ttom.types import ObjectMasks, TokenGrid

ELLIPSE = 0.13
"""Level of the gaussian at which the ellipse inscribed in the box ends; e^-2, but for rounding."""


def latent_times(latent_frames: int, frames: int, temporal_compression: int) -> Float[Tensor, " F"]:
    """Center time of each latent frame of a causal video VAE.

    The first latent frame is picture frame 0 alone; latent frame k >= 1 holds the picture frames c(k-1)+1 .. ck.

    Args:
        latent_frames: F.
        frames: Picture frames, c(F-1)+1.
        temporal_compression: c, picture frames per latent frame after the first.

    Returns:
        ``(F,)`` float64 shares of the video in [0, 1]: 0 is picture frame 0, 1 is the last picture frame.

    Raises:
        UserError: frames is not c(F-1)+1.
    """
    if frames != temporal_compression * (latent_frames - 1) + 1:
        raise UserError(
            f"{frames} picture frames do not make {latent_frames} latent frames",
            expected=f"{temporal_compression}k+1 frames, k+1 latent frames",
            remedy=f"use {temporal_compression * (latent_frames - 1) + 1} frames",
        )
    index = torch.arange(latent_frames, dtype=torch.float64)
    center = (temporal_compression * (index - 1) + (temporal_compression + 1) / 2).clamp_min(0)
    center[0] = 0
    return center / max(frames - 1, 1)


def rasterize(
    layout: Layout,
    grid: TokenGrid,
    *,
    frames: int,
    temporal_compression: int,
    sigma: float = 0.25,
    mask: Mask = "gaussian",
) -> ObjectMasks:
    """Soft masks of the layout's object groups (section 3.2 of the paper, which leaves the gaussian's width open).

    Each object is a gaussian of peak 1 at its box center, as in the authors' released code, or its box smoothed with a
    gaussian. The standard deviation is ``sigma`` times the box size per axis, but at least half a grid cell (a smaller
    one could miss every cell center). Objects of one group are summed; then each visible frame is scaled to sum 1. A
    latent frame takes the boxes at its center time.

    Args:
        layout: The plan.
        grid: Token grid (F, H, W).
        frames: Picture frames of the video.
        temporal_compression: Picture frames per latent frame after the first.
        sigma: Standard deviation of the gaussian as a share of the box size.
        mask: "gaussian" or "smoothed-box".

    Returns:
        Masks ``(N, F, H, W)`` float32 and visibility ``(N, F)``, in the order of ``layout.groups()``.

    Raises:
        UserError: a group is visible at the center of no latent frame.
    """
    times = latent_times(grid.frames, frames, temporal_compression).tolist()
    groups, draw = layout.groups(), _gaussian if mask == "gaussian" else _smoothed
    masks = torch.zeros(len(groups), grid.frames, grid.height, grid.width, dtype=torch.float64)
    visible = torch.zeros(len(groups), grid.frames, dtype=torch.bool)
    for n, group in enumerate(groups):
        for f, time in enumerate(times):
            for box in _boxes(group, time):
                masks[n, f] += draw(box, grid, sigma)
                visible[n, f] = True
        if not visible[n].any():
            raise UserError(
                f"{group.phrase!r} is visible at the center of none of the {grid.frames} latent frames",
                expected=f"a visible interval that holds one of the times {[round(time, 3) for time in times]}",
                remedy="widen the object's visible interval in the layout",
            )
    total = masks.sum(dim=(2, 3), keepdim=True)
    masks = torch.where(visible[:, :, None, None], masks / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)
    return ObjectMasks(masks.float(), visible)


def regions(
    layout: Layout, grid: TokenGrid, *, frames: int, temporal_compression: int, shape: Region
) -> Float[Tensor, "N F H W"]:
    """How much each grid cell belongs to an object group: 1 inside, 0 outside.

    "box" has 1 in the cells whose center is in a box, "ellipse" in those whose center is in the ellipse inscribed in
    one, and "gaussian" falls smoothly from 1 at a box's center (standard deviation a quarter of its size). Every
    visible object has a cell: a box counts as one cell wide at least. Of a group's objects the largest value counts. A
    group that is out of the picture has 0 everywhere. A latent frame takes the boxes at its center time.

    Arguments as in `rasterize`; returns float32.
    """
    times = latent_times(grid.frames, frames, temporal_compression).tolist()
    groups = layout.groups()
    found = torch.zeros(len(groups), grid.frames, grid.height, grid.width, dtype=torch.float64)
    for n, group in enumerate(groups):
        for f, time in enumerate(times):
            for box in _boxes(group, time):
                found[n, f] = torch.maximum(found[n, f], _region(box, grid, shape))
    return found.float()


def _boxes(group: ObjectGroup, time: float) -> list[Box]:
    boxes = (item.box_at(time) for item in group.objects)
    return [box for box in boxes if box is not None]


def _region(box: Box, grid: TokenGrid, shape: Region) -> Float[Tensor, "H W"]:
    if shape == "box":
        rows, columns = _cells(grid)
        (x, y), half_width, half_height = (
            box.center,
            max(box.width, 1 / grid.width) / 2,
            max(box.height, 1 / grid.height) / 2,
        )
        within = ((rows - y).abs() <= half_height)[:, None] & ((columns - x).abs() <= half_width)[None, :]
        return within.double()
    gaussian = _gaussian(box, grid, 0.25)
    return gaussian if shape == "gaussian" else (gaussian >= ELLIPSE).double()


def _gaussian(box: Box, grid: TokenGrid, sigma: float) -> Float[Tensor, "H W"]:
    """A gaussian of peak 1 at the box's center, with ``sigma`` times its size as standard deviation."""
    rows, columns = _cells(grid)
    x, y = box.center
    bell_x = _bell(columns, x, max(sigma * box.width, 0.5 / grid.width))
    bell_y = _bell(rows, y, max(sigma * box.height, 0.5 / grid.height))
    return bell_y[:, None] * bell_x[None, :]


def _smoothed(box: Box, grid: TokenGrid, sigma: float) -> Float[Tensor, "H W"]:
    """The box, 1 inside and 0 outside, convolved with a gaussian of ``sigma`` times its size."""
    rows, columns = _cells(grid)
    across = _edges(columns, box.x0, box.x1, max(sigma * box.width, 0.5 / grid.width))
    down = _edges(rows, box.y0, box.y1, max(sigma * box.height, 0.5 / grid.height))
    return down[:, None] * across[None, :]


def _edges(positions: Float[Tensor, " S"], start: float, end: float, deviation: float) -> Float[Tensor, " S"]:
    width = deviation * 2**0.5
    return (torch.erf((positions - start) / width) - torch.erf((positions - end) / width)) / 2


def _cells(grid: TokenGrid) -> tuple[Tensor, Tensor]:
    """Centers of the rows ``(H,)`` and the columns ``(W,)``."""
    rows = (torch.arange(grid.height, dtype=torch.float64) + 0.5) / grid.height
    return rows, (torch.arange(grid.width, dtype=torch.float64) + 0.5) / grid.width


def _bell(positions: Float[Tensor, " S"], center: float, deviation: float) -> Float[Tensor, " S"]:
    return torch.exp(-0.5 * ((positions - center) / deviation) ** 2)
