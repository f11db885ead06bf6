"""Video files hold the frames that went in, and a failing encoder is an error."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ttom.errors import UserError
from ttom.video import enlarge, write_video


@pytest.mark.parametrize(("height", "seen"), [(64, 512), (240, 480), (480, 480), (720, 720), (400, 400)])
def test_small_videos_are_enlarged_by_whole_factors(height: int, seen: int) -> None:
    video = np.random.default_rng(0).integers(0, 255, (2, height, 8, 3), np.uint8)
    large = enlarge(video)
    factor = seen // height
    assert large.shape == (2, seen, 8 * factor, 3)
    assert (large[:, ::factor, ::factor] == video).all()
    assert (large[:, factor - 1 :: factor, factor - 1 :: factor] == video).all()


def test_written_video_shows_the_frames_in_order(tmp_path: Path) -> None:
    video = np.zeros((9, 33, 47, 3), np.uint8)  # odd sides
    for t in range(9):
        video[t, :, :, 0] = 25 * t
    path = tmp_path / "v.mp4"
    write_video(video, path, fps=8)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", Fraction(8))
        assert (stream.width, stream.height) == (48, 34)
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(read) == 9
    for t, frame in enumerate(read):
        assert abs(float(frame[:33, :47, 0].mean()) - 25 * t) < 12
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # the index first: browsers start at once


def test_a_failing_encoder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_video(np.zeros((1, 16, 16, 3), np.uint8), tmp_path / "none" / "v.mp4", fps=8)

    def broken(*_: object, **__: object) -> None:
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(av.VideoFrame, "from_ndarray", broken, raising=True)
    with pytest.raises(UserError, match="cannot be encoded"):
        write_video(np.zeros((1, 16, 16, 3), np.uint8), tmp_path / "v.mp4", fps=8)
