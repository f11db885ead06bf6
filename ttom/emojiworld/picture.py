"""A grid of the evaluation's first prompts: base beside ttom, the planned boxes drawn on both."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ttom.layout.draw import draw_boxes
from ttom.layout.model import Layout

SCALE = 3
MARGIN = 8
TEXT_WIDTH = 250


def draw(rows: list[dict], path: Path) -> None:
    """Write the PNG: a line for each prompt that kept its frames, three frames of base and three of ttom."""
    by_prompt: dict[str, dict[str, dict]] = {}
    for row in rows:
        if "frames" in row:
            by_prompt.setdefault(row["id"], {})[row["variant"]] = row
    lines = [_line(pair) for _, pair in sorted(by_prompt.items()) if {"base", "ttom"} <= set(pair)]
    head = _heading(lines[0].width, lines[0].height)
    picture = Image.new("RGB", (head.width, head.height + sum(line.height + MARGIN for line in lines)), "white")
    y = 0
    for part in (head, *lines):
        picture.paste(part, (0, y))
        y += part.height + (MARGIN if part is not head else 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)


def _frames(row: dict) -> np.ndarray:
    """Three frames side by side, upscaled, boxes on them: uint8 ``(H, 3 W, 3)``."""
    video = np.array(row["frames"], np.uint8).repeat(SCALE, 1).repeat(SCALE, 2)
    boxed = draw_boxes(torch.from_numpy(video), Layout.model_validate(row["layout"])).numpy()
    gap = np.full((boxed.shape[1], 2, 3), 255, np.uint8)
    return np.concatenate([piece for frame in boxed for piece in (frame, gap)], 1)


def _line(pair: dict[str, dict]) -> Image.Image:
    base, ttom = _frames(pair["base"]), _frames(pair["ttom"])
    line = Image.new("RGB", (TEXT_WIDTH + base.shape[1] + MARGIN + ttom.shape[1], base.shape[0]), "white")
    text = "\n".join(textwrap.wrap(pair["base"]["prompt"], 30))
    ImageDraw.Draw(line).multiline_text((MARGIN, line.height // 2), text, fill="black", font=_font(15), anchor="lm")
    line.paste(Image.fromarray(base), (TEXT_WIDTH, 0))
    line.paste(Image.fromarray(ttom), (TEXT_WIDTH + base.shape[1] + MARGIN, 0))
    return line


def _heading(width: int, height: int) -> Image.Image:
    head = Image.new("RGB", (width, 30), "white")
    half = (width - TEXT_WIDTH - MARGIN) // 2
    for x, text in ((TEXT_WIDTH, "base model"), (TEXT_WIDTH + half + MARGIN, "TTOM, same text, layout and seed")):
        ImageDraw.Draw(head).text((x, 15), text, fill="black", font=_font(18), anchor="lm")
    return head


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
