"""Boxes drawn where they belong, the input untouched."""

from __future__ import annotations

import pytest
import torch

from ttom.layout.draw import draw_boxes, layout_sheet, object_colors
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.types import VideoSize


def _layout() -> Layout:
    frames = (
        KeyFrame(time=0.0, box=Box(x0=0.0, y0=0.5, x1=0.25, y1=1.0)),
        KeyFrame(time=1.0, box=Box(x0=0.75, y0=0.5, x1=1.0, y1=1.0)),
    )
    return Layout(prompt="a cat", objects=(LayoutObject(id="a", phrase="cat", noun="cat", key_frames=frames),))


def test_draws_the_outline_in_the_objects_color_and_leaves_the_input() -> None:
    video = torch.zeros(3, 96, 144, 3, dtype=torch.uint8)
    drawn = draw_boxes(video, _layout())
    assert drawn.shape == video.shape
    assert drawn.dtype == torch.uint8
    assert int(video.sum()) == 0
    color = torch.tensor(object_colors(1)[0], dtype=torch.uint8)
    assert torch.equal(drawn[0, 95, 20], color), "bottom edge of the first box"
    assert torch.equal(drawn[2, 95, 120], color), "bottom edge of the last box"
    assert int(drawn[0, :, 72:].sum()) == 0, "nothing where the box is not"
    assert int(drawn[2, :, :72].sum()) == 0


def test_an_invisible_object_is_not_drawn() -> None:
    item = _layout().objects[0].model_copy(update={"visible": (0.4, 0.6)})
    drawn = draw_boxes(torch.zeros(3, 64, 96, 3, dtype=torch.uint8), Layout(prompt="a cat", objects=(item,)))
    assert int(drawn[0].sum()) == int(drawn[2].sum()) == 0
    assert int(drawn[1].sum()) > 0


def test_wrong_videos_are_refused() -> None:
    for video in (torch.zeros(3, 64, 96, 3), torch.zeros(64, 96, 3, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            draw_boxes(video, _layout())


def test_colors_differ() -> None:
    assert len(set(object_colors(24))) == 24


def test_sheet_has_six_cells_in_the_videos_proportions() -> None:
    sheet = layout_sheet(_layout(), VideoSize(frames=17, height=64, width=96))
    assert sheet.size == (3 * 288 + 2 * 6, 2 * 192 + 6)
    assert sheet.getpixel((5, 190)) == object_colors(1)[0], "first cell: box at the left"
    assert sheet.getpixel((sheet.width - 5, sheet.height - 1)) == object_colors(1)[0], "last cell: box at the right"
