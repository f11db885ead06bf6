"""Layouts for other tools."""

from __future__ import annotations

import pytest

from ttom.layout.exporters import ATI_POINTS, ati_tracks, comfyui_boxes, kjnodes_tracks, vace_video
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.types import VideoSize

SIZE = VideoSize(9, 100, 200)


def frame(time: float, x: float) -> KeyFrame:
    return KeyFrame(time=time, box=Box(x0=x, y0=0.2, x1=x + 0.2, y1=0.6))


@pytest.fixture
def layout() -> Layout:
    dog = LayoutObject(id="a", phrase="dog", noun="dog", key_frames=(frame(0, 0.0), frame(1, 0.8)))
    cat = LayoutObject(id="b", phrase="cat", noun="cat", key_frames=(frame(0, 0.4),), visible=(0.25, 0.5))
    return Layout(prompt="A dog and a cat", objects=(dog, cat))


def test_tracks_are_the_centers_in_pixels(layout: Layout) -> None:
    dog, _ = kjnodes_tracks(layout, SIZE)
    assert len(dog) == SIZE.frames
    assert dog[0] == {"x": 20.0, "y": 40.0} and dog[-1] == {"x": 180.0, "y": 40.0} and dog[4] == {"x": 100.0, "y": 40.0}


def test_tracks_of_ati_end_where_their_object_leaves(layout: Layout) -> None:
    dog, cat = ati_tracks(layout, SIZE)
    assert len(dog) == ATI_POINTS and len(cat) == 61
    assert all(len(track) == SIZE.frames for track in kjnodes_tracks(layout, SIZE))


def test_boxes_are_listed_while_they_are_seen(layout: Layout) -> None:
    frames = comfyui_boxes(layout, SIZE)
    assert [len(boxes) for boxes in frames] == [1, 1, 2, 2, 2, 1, 1, 1, 1]
    assert frames[8] == [{"x": 160, "y": 20, "width": 40, "height": 40, "metadata": {"name": "dog"}}]


def test_the_control_video_has_outlines_alone(layout: Layout) -> None:
    video = vace_video(layout, SIZE)
    assert video.shape == (9, 100, 200, 3)
    assert video[0, 40, 0].max() == 0 and video[0, 40, 20].min() == 255 and video[0, 90, 100].min() == 255
    assert (video[0] == 0).sum() < (video[3] == 0).sum()  # the cat has come
