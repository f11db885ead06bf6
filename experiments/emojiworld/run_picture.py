"""A grid of the first cases of two runs, base beside ttom, with the planned boxes: three frames of each video."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from eval.judges.video import read_video
from eval.manifest import CASES, VIDEOS, last_rows, read_header
from ttom.layout.draw import draw_boxes
from ttom.layout.model import Layout, load_layout

PER_CATEGORY = 3
"""The first cases, not chosen by how they look."""
SCALE = 3
MARGIN = 8
TEXT_WIDTH = 250


@dataclass(frozen=True)
class Shown:
    """What the grid shows of one video: its prompt, three frames uint8 ``(3, H, W, 3)``, and its layout."""

    prompt: str
    frames: np.ndarray
    layout: Layout


def draw_runs(base: Path, ttom: Path, path: Path) -> None:
    """Write the PNG of the cases that both runs have."""
    plain, guided = dict(_shown(base)), dict(_shown(ttom))
    lines = [_line(plain[case], guided[case]) for case in sorted(plain.keys() & guided.keys())]
    head = _heading(lines[0].width)
    picture = Image.new("RGB", (head.width, head.height + sum(line.height + MARGIN for line in lines)), "white")
    picture.paste(head, (0, 0))
    y = head.height
    for line in lines:
        picture.paste(line, (0, y))
        y += line.height + MARGIN
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)


def _shown(run: Path) -> Iterator[tuple[str, Shown]]:
    """By case id, the first cases of each category that have a video and a layout."""
    own_height, taken = read_header(run).settings["sampler"]["height"], Counter[str]()
    for _, row in sorted(last_rows(run).items()):
        taken[row.case.category] += 1
        layout = run / CASES / row.case.id / "layout.json"
        if row.status != "made" or taken[row.case.category] > PER_CATEGORY or not layout.is_file():
            continue
        video = read_video(run / VIDEOS / row.case.video)
        frames = video[[0, len(video) // 2, len(video) - 1]]
        factor = max(1, frames.shape[1] // own_height)  # files hold enlarged pixels
        frames = frames[:, factor // 2 :: factor, factor // 2 :: factor]
        yield row.case.id, Shown(row.case.prompt, frames, load_layout(layout))


def _boxed(shown: Shown) -> np.ndarray:
    """Three frames side by side, enlarged, with boxes: uint8 ``(H, 3 W, 3)``."""
    video = shown.frames.repeat(SCALE, 1).repeat(SCALE, 2)
    boxed = draw_boxes(torch.from_numpy(video), shown.layout).numpy()
    gap = np.full((boxed.shape[1], 2, 3), 255, np.uint8)
    return np.concatenate([piece for frame in boxed for piece in (frame, gap)], 1)


def _line(plain: Shown, guided: Shown) -> Image.Image:
    left, right = _boxed(plain), _boxed(guided)
    line = Image.new("RGB", (TEXT_WIDTH + left.shape[1] + MARGIN + right.shape[1], left.shape[0]), "white")
    text = "\n".join(textwrap.wrap(plain.prompt, 30))
    ImageDraw.Draw(line).multiline_text((MARGIN, line.height // 2), text, fill="black", font=_font(15), anchor="lm")
    line.paste(Image.fromarray(left), (TEXT_WIDTH, 0))
    line.paste(Image.fromarray(right), (TEXT_WIDTH + left.shape[1] + MARGIN, 0))
    return line


def _heading(width: int) -> Image.Image:
    head = Image.new("RGB", (width, 30), "white")
    half = (width - TEXT_WIDTH - MARGIN) // 2
    for x, text in ((TEXT_WIDTH, "base model"), (TEXT_WIDTH + half + MARGIN, "TTOM, same text, layout and seed")):
        ImageDraw.Draw(head).text((x, 15), text, fill="black", font=_font(18), anchor="lm")
    return head


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
