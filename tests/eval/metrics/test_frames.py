"""Frame sampling, by hand."""

from __future__ import annotations

from eval.metrics import frames


def test_sixteen_frames_from_first_to_last() -> None:
    assert frames.spread(17, 16) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16]
    assert frames.spread(16, 16) == list(range(16))
    assert frames.spread(5, 16) == [0, 1, 2, 3, 4]
    assert frames.spread(81, 16)[:3] == [0, 5, 10] and frames.spread(81, 16)[-1] == 80
    assert frames.spread(81, 1) == [0]


def test_the_grid_takes_six_of_the_sixteen() -> None:
    assert frames.grid(16) == [0, 3, 6, 9, 12, 15]
    assert frames.grid(81) == [0, 16, 32, 48, 64, 80]


def test_motion_takes_eight_frames_a_second() -> None:
    assert len(frames.motion(81, 16)) == 40  # Wan: 81 // 16 = 5 s
    assert len(frames.motion(49, 8)) == 48  # CogVideoX
    assert frames.motion(16, 8) == list(range(16))
    assert frames.motion(7, 8) == []


def test_metrics_of_our_own_read_an_embedded_video_whole() -> None:
    assert frames.spread(17, frames.WHOLE) == list(range(17))
    assert frames.spread(81, frames.WHOLE) == list(range(0, 81, 5))
    assert frames.spread(49, frames.WHOLE) == list(range(0, 49, 3))
