"""Latent times and soft masks against explicit loops."""

from __future__ import annotations

import math

import pytest
import torch

from ttom.config import Region
from ttom.errors import UserError
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.layout.raster import latent_times, rasterize, regions
from ttom.types import TokenGrid


def _mover(name: str, noun: str, x: float, to: float, size: float = 0.3, **more: object) -> LayoutObject:
    def box(left: float) -> Box:
        return Box(x0=left, y0=0.4, x1=left + size, y1=0.4 + size * 1.5)

    frames = (KeyFrame(time=0.0, box=box(x)), KeyFrame(time=1.0, box=box(to)))
    return LayoutObject(id=name, phrase=noun, noun=noun, key_frames=frames, **more)  # type: ignore[arg-type]


def _brute_times(latent_frames: int, frames: int, compression: int) -> list[float]:
    groups = [[0]] + [list(range(compression * (k - 1) + 1, compression * k + 1)) for k in range(1, latent_frames)]
    assert sum(map(len, groups)) == frames
    return [sum(group) / len(group) / max(frames - 1, 1) for group in groups]


@pytest.mark.parametrize(
    ("latent_frames", "frames", "compression"), [(5, 17, 4), (21, 81, 4), (9, 17, 2), (7, 7, 1), (1, 1, 4)]
)
def test_latent_times_are_the_centers_of_their_picture_frames(
    latent_frames: int, frames: int, compression: int
) -> None:
    times = latent_times(latent_frames, frames, compression)
    assert times.shape == (latent_frames,)
    assert times.tolist() == pytest.approx(_brute_times(latent_frames, frames, compression))


def test_latent_times_of_the_two_models() -> None:
    assert (latent_times(5, 17, 4) * 16).tolist() == pytest.approx([0, 2.5, 6.5, 10.5, 14.5])
    assert latent_times(21, 81, 4)[-1].item() == pytest.approx(78.5 / 80)


def test_frames_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="18 picture frames do not make 5 latent frames"):
        latent_times(5, 18, 4)


def _brute_masks(layout: Layout, grid: TokenGrid, frames: int, compression: int, sigma: float) -> torch.Tensor:
    groups = layout.groups()
    masks = torch.zeros(len(groups), grid.frames, grid.height, grid.width, dtype=torch.float64)
    for f, time in enumerate(_brute_times(grid.frames, frames, compression)):
        for n, group in enumerate(groups):
            for item in group.objects:
                box = item.box_at(time)
                if box is None:
                    continue
                sx = max(sigma * (box.x1 - box.x0), 0.5 / grid.width)
                sy = max(sigma * (box.y1 - box.y0), 0.5 / grid.height)
                for row in range(grid.height):
                    for column in range(grid.width):
                        dx = (column + 0.5) / grid.width - (box.x0 + box.x1) / 2
                        dy = (row + 0.5) / grid.height - (box.y0 + box.y1) / 2
                        masks[n, f, row, column] += math.exp(-dx * dx / (2 * sx * sx) - dy * dy / (2 * sy * sy))
            if masks[n, f].sum() > 0:
                masks[n, f] /= masks[n, f].sum()
    return masks


def test_masks_equal_explicit_loops() -> None:
    layout = Layout(
        prompt="two cats and a dog",
        objects=(
            _mover("a", "cats", 0.0, 0.2),
            _mover("b", "dog", 0.7, 0.1, visible=(0.3, 0.8)),
            _mover("c", "cats", 0.6, 0.65, size=0.2),
        ),
    )
    grid = TokenGrid(5, 7, 11)
    result = rasterize(layout, grid, frames=17, temporal_compression=4, sigma=0.3)
    assert result.masks.shape == (2, 5, 7, 11)
    assert result.masks.dtype == torch.float32
    torch.testing.assert_close(result.masks, _brute_masks(layout, grid, 17, 4, 0.3).float(), rtol=1e-5, atol=1e-7)
    assert result.visible.tolist() == [[True] * 5, [False, False, True, True, False]]
    torch.testing.assert_close(result.masks.sum(dim=(2, 3)), result.visible.float())


def test_the_peak_follows_the_box() -> None:
    layout = Layout(prompt="a cat", objects=(_mover("a", "cat", 0.0, 0.7),))
    masks = rasterize(layout, TokenGrid(5, 16, 24), frames=17, temporal_compression=4).masks[0]
    columns = masks.sum(dim=1).argmax(dim=1).tolist()
    assert columns == sorted(columns)
    assert columns[0] in (3, 4)  # center 0.15 of 24 columns
    assert columns[-1] in (18, 19)  # center 0.15 + 0.7 * 14.5 / 16


def test_a_tiny_box_between_cell_centers_still_has_a_mask() -> None:
    box = Box(x0=0.4999, y0=0.4999, x1=0.5001, y1=0.5001)
    item = LayoutObject(id="a", phrase="ant", noun="ant", key_frames=(KeyFrame(time=0.0, box=box),))
    masks = rasterize(Layout(prompt="an ant", objects=(item,)), TokenGrid(5, 4, 4), frames=17, temporal_compression=4)
    assert torch.isfinite(masks.masks).all()
    torch.testing.assert_close(masks.masks.sum(dim=(2, 3)), torch.ones(1, 5))
    assert masks.masks[0, 0, 1:3, 1:3].sum() > 0.5


def test_an_object_seen_in_no_latent_frame_is_refused() -> None:
    layout = Layout(prompt="a cat", objects=(_mover("a", "cat", 0.0, 0.7, visible=(0.01, 0.02)),))
    with pytest.raises(UserError, match="'cat' is visible at the center of none of the 5 latent frames"):
        rasterize(layout, TokenGrid(5, 4, 4), frames=17, temporal_compression=4)


def _brute_regions(layout: Layout, grid: TokenGrid, frames: int, compression: int, shape: str) -> torch.Tensor:
    groups = layout.groups()
    found = torch.zeros(len(groups), grid.frames, grid.height, grid.width)
    for f, time in enumerate(_brute_times(grid.frames, frames, compression)):
        for n, group in enumerate(groups):
            boxes = [box for box in (item.box_at(time) for item in group.objects) if box is not None]
            for row in range(grid.height):
                for column in range(grid.width):
                    for box in boxes:
                        dx = (column + 0.5) / grid.width - (box.x0 + box.x1) / 2
                        dy = (row + 0.5) / grid.height - (box.y0 + box.y1) / 2
                        wide, high = (max(box.x1 - box.x0, 2 / grid.width), max(box.y1 - box.y0, 2 / grid.height))
                        r = (2 * dx / wide) ** 2 + (2 * dy / high) ** 2
                        value = {
                            "ellipse": float(r <= 1.02),
                            "gaussian": math.exp(-2 * r),
                            "box": float(box.x0 <= (column + 0.5) / grid.width <= box.x1)
                            * float(box.y0 <= (row + 0.5) / grid.height <= box.y1),
                        }[shape]
                        found[n, f, row, column] = max(found[n, f, row, column], value)
    return found


@pytest.mark.parametrize("shape", ["ellipse", "box", "gaussian"])
def test_regions_equal_explicit_loops(shape: Region) -> None:
    """Several objects of a group, one that comes and goes, boxes that overlap."""
    layout = Layout(
        prompt="two cats and a dog",
        objects=(
            _mover("a", "cats", 0.0, 0.2),
            _mover("b", "dog", 0.7, 0.1, visible=(0.3, 0.8)),
            _mover("c", "cats", 0.1, 0.65, size=0.25),
        ),
    )
    grid = TokenGrid(5, 16, 24)
    ours = regions(layout, grid, frames=17, temporal_compression=4, shape=shape)
    torch.testing.assert_close(ours, _brute_regions(layout, grid, 17, 4, shape))
    assert ours.dtype == torch.float32 and ours[0, 0].amax() > 0.9 and ours[1, 0].amax() == 0  # out of the picture
    inside = ours[0, 0].mean().item()
    assert 0 < inside < {"ellipse": 0.2, "box": 0.25, "gaussian": 0.2}[shape]


@pytest.mark.parametrize("shape", ["ellipse", "box", "gaussian"])
def test_the_smallest_object_has_a_region(shape: Region) -> None:
    box = Box(x0=0.49, y0=0.49, x1=0.495, y1=0.495)  # between the centers of the cells
    small = LayoutObject(id="a", phrase="dog", noun="dog", key_frames=(KeyFrame(time=0.0, box=box),))
    found = regions(
        Layout(prompt="a dog", objects=(small,)), TokenGrid(1, 4, 6), frames=1, temporal_compression=4, shape=shape
    )
    assert found[0, 0, 1, 2] > 0.3 and found.sum() < 6


@pytest.mark.parametrize("sigma", [0.1, 0.25])
def test_a_smoothed_box_is_the_box_convolved_with_a_gaussian(sigma: float) -> None:
    """Against a sum over a fine grid; a small object keeps a mask."""
    layout = Layout(prompt="a dog", objects=(_mover("a", "dog", 0.1, 0.4),))
    grid = TokenGrid(1, 8, 12)
    ours = rasterize(layout, grid, frames=1, temporal_compression=4, sigma=sigma, mask="smoothed-box")
    box = layout.objects[0].box_at(0.0)
    assert box is not None
    fine = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000 * 3 - 1  # far beyond the picture
    profiles = []
    for cells, start, end in ((8, box.y0, box.y1), (12, box.x0, box.x1)):
        deviation = max(sigma * (end - start), 0.5 / cells)
        inside = ((fine >= start) & (fine <= end)).double()
        at = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        bell = torch.exp(-0.5 * ((at[:, None] - fine[None]) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
        profiles.append((bell * inside).sum(1) * 3 / 400_000)
    expected = profiles[0][:, None] * profiles[1][None, :]
    torch.testing.assert_close(ours.masks[0, 0].double(), expected / expected.sum(), rtol=2e-3, atol=1e-5)
    gaussian = rasterize(layout, grid, frames=1, temporal_compression=4, sigma=sigma)
    assert gaussian.masks.max() > 1.05 * ours.masks.max()  # a box is flatter
