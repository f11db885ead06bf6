"""Layouts for other tools: tracks of points, boxes frame by frame, and VACE's control video."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ttom.layout.model import Layout, LayoutObject
from ttom.types import VideoSize

ATI_POINTS = 121
"""Points of a track of ATI, whatever the length of the video; what is missing at the end is out of the picture."""
VACE_SIZE, VACE_FPS = VideoSize(81, 480, 832), 16
"""What VACE's Wan models make by default."""
_LINE = 2  # pixels

Point = dict[str, float]


def ati_tracks(layout: Layout, size: VideoSize) -> list[list[Point]]:
    """One track of box centers for each object, in pixels, as ATI's nodes in ComfyUI read them.

    A track begins with the video, since the format has no later start, and ends where its object leaves.
    """
    return [_track(item, size, ATI_POINTS, ends=True) for item in layout.objects]


def kjnodes_tracks(layout: Layout, size: VideoSize) -> list[list[Point]]:
    """One track of box centers for each object, a point for each picture frame, as KJNodes' spline editor writes them.

    All tracks have the same length; before an object appears and after it leaves, its point stays where it was.
    """
    return [_track(item, size, size.frames, ends=False) for item in layout.objects]


def _track(item: LayoutObject, size: VideoSize, points: int, *, ends: bool) -> list[Point]:
    first, last = item.visible
    track = []
    for index in range(points):
        time = index / max(points - 1, 1)
        if ends and time > last:
            break
        box = item.box_at(min(max(time, first), last))
        assert box is not None
        x, y = box.center
        track.append({"x": round(x * size.width, 2), "y": round(y * size.height, 2)})
    return track


def comfyui_boxes(layout: Layout, size: VideoSize) -> list[list[dict[str, object]]]:
    """For each picture frame its boxes in whole pixels, as ComfyUI's type BOUNDING_BOX has them, with their phrases."""
    frames = []
    for index in range(size.frames):
        boxes: list[dict[str, object]] = []
        for item in layout.objects:
            box = item.box_at(index / max(size.frames - 1, 1))
            if box is not None:
                x, y = round(box.x0 * size.width), round(box.y0 * size.height)
                width, height = max(1, round(box.x1 * size.width) - x), max(1, round(box.y1 * size.height) - y)
                boxes.append({"x": x, "y": y, "width": width, "height": height, "metadata": {"name": item.phrase}})
        frames.append(boxes)
    return frames


def vace_video(layout: Layout, size: VideoSize = VACE_SIZE) -> np.ndarray:
    """VACE's control video of the task layout_bbox: black outlines on white; uint8 ``(T, height, width, 3)``."""
    frames = []
    for index in range(size.frames):
        image = Image.new("RGB", (size.width, size.height), (255, 255, 255))
        draw = ImageDraw.Draw(image)
        for item in layout.objects:
            box = item.box_at(index / max(size.frames - 1, 1))
            if box is not None:
                right, bottom = size.width - 1, size.height - 1
                corners = (box.x0 * right, box.y0 * bottom, box.x1 * right, box.y1 * bottom)
                draw.rectangle(corners, outline=(0, 0, 0), width=_LINE)
        frames.append(np.array(image))
    return np.stack(frames)
