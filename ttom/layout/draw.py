"""Planned boxes drawn onto a video or onto nothing: moving pictures and contact sheets of layouts."""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ttom.layout.model import Layout
from ttom.types import VideoSize

if TYPE_CHECKING:  # drawings without a video should not wait for torch
    from torch import Tensor

_SHEET_TIMES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_SHEET_COLUMNS = 3
_SHEET_GAP = 6
_SHEET_MIN_WIDTH = 240
_PAGE_CELL_WIDTH = 200
_PAGE_LABEL = 30  # pixels above a row, for two lines of the prompt
_ANIMATION_WIDTH = 320
_ANIMATION_FRAMES = 25
_ANIMATION_MILLISECONDS = 80
_EMPTY = (48, 48, 52)
PAGE_ROWS = 20
"""Layouts on a page of `layouts_page`."""
_GOLDEN_ANGLE = 0.381966  # of a turn: neighboring objects get distant hues, however many there are


def object_colors(count: int) -> list[tuple[int, int, int]]:
    """One bright RGB color per object, all different."""
    colors = []
    for index in range(count):
        red, green, blue = colorsys.hsv_to_rgb((index * _GOLDEN_ANGLE) % 1.0, 0.85, 1.0)
        colors.append((round(red * 255), round(green * 255), round(blue * 255)))
    return colors


def _draw(image: Image.Image, layout: Layout, time: float) -> None:
    """Outline and label every visible object at ``time`` in place."""
    width, height = image.size
    line = max(1, round(min(width, height) / 120))
    font = ImageFont.load_default(size=max(8, round(min(width, height) / 20)))
    draw = ImageDraw.Draw(image)
    for item, color in zip(layout.objects, object_colors(len(layout.objects)), strict=True):
        box = item.box_at(time)
        if box is None:
            continue
        left, top = round(box.x0 * (width - 1)), round(box.y0 * (height - 1))
        right, bottom = round(box.x1 * (width - 1)), round(box.y1 * (height - 1))
        draw.rectangle((left, top, right, bottom), outline=color, width=line)
        label = draw.textbbox((left + line + 1, top + line), item.phrase, font=font)
        draw.rectangle(label, fill=(0, 0, 0))
        draw.text((left + line + 1, top + line), item.phrase, fill=color, font=font)


def draw_boxes(video: Tensor, layout: Layout) -> Tensor:
    """The video with the layout's boxes and labels on it.

    Args:
        video: ``(T, height, width, 3)`` uint8.
        layout: What to draw; frame t of T is time t / (T - 1).

    Returns:
        A new uint8 video of the same shape. Draw after enlarging a small video: labels are at least 8 pixels high.
    """
    import torch

    if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != torch.uint8:
        raise ValueError(f"expected uint8 (T, height, width, 3), received {video.dtype} {tuple(video.shape)}")
    drawn = []
    for index, frame in enumerate(video):
        image = Image.fromarray(frame.cpu().numpy())
        _draw(image, layout, index / max(len(video) - 1, 1))
        drawn.append(torch.from_numpy(np.array(image)))
    return torch.stack(drawn) if drawn else video.clone()


def layout_sheet(layout: Layout, size: VideoSize) -> Image.Image:
    """A contact sheet of the boxes at six evenly spaced times, three to a row, each cell in the video's proportions."""
    scale = max(1, -(-_SHEET_MIN_WIDTH // size.width))
    width, height = size.width * scale, size.height * scale
    rows = -(-len(_SHEET_TIMES) // _SHEET_COLUMNS)
    sheet = Image.new(
        "RGB",
        (_SHEET_COLUMNS * (width + _SHEET_GAP) - _SHEET_GAP, rows * (height + _SHEET_GAP) - _SHEET_GAP),
        (255, 255, 255),
    )
    for index, time in enumerate(_SHEET_TIMES):
        cell = Image.new("RGB", (width, height), _EMPTY)
        _draw(cell, layout, time)
        row, column = divmod(index, _SHEET_COLUMNS)
        sheet.paste(cell, (column * (width + _SHEET_GAP), row * (height + _SHEET_GAP)))
    return sheet


def layouts_page(layouts: Sequence[Layout], size: VideoSize) -> Image.Image:
    """A contact sheet of many layouts one row each: the prompt above the boxes at six evenly spaced times."""
    cell = _PAGE_CELL_WIDTH, max(1, round(_PAGE_CELL_WIDTH * size.height / size.width))
    step = cell[0] + _SHEET_GAP, _PAGE_LABEL + cell[1] + _SHEET_GAP
    page = Image.new("RGB", (len(_SHEET_TIMES) * step[0] - _SHEET_GAP, len(layouts) * step[1]), (255, 255, 255))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    for row, layout in enumerate(layouts):
        text = textwrap.fill(f"{layout.prompt} [{layout.source}]", 200, max_lines=2, placeholder=" ...")
        draw.multiline_text((2, row * step[1] + 2), text, fill=(0, 0, 0), font=font, spacing=1)
        for column, time in enumerate(_SHEET_TIMES):
            image = Image.new("RGB", cell, _EMPTY)
            _draw(image, layout, time)
            page.paste(image, (column * step[0], row * step[1] + _PAGE_LABEL))
    return page


def save_animation(layout: Layout, size: VideoSize, path: Path) -> None:
    """Write a looping GIF of two seconds with the layout's moving boxes, in the video's proportions."""
    shape = _ANIMATION_WIDTH, max(1, round(_ANIMATION_WIDTH * size.height / size.width))
    frames = []
    for index in range(_ANIMATION_FRAMES):
        image = Image.new("RGB", shape, _EMPTY)
        _draw(image, layout, index / (_ANIMATION_FRAMES - 1))
        frames.append(image)
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=_ANIMATION_MILLISECONDS, loop=0)
