"""Video files hold the frames that went in, and a failing encoder is an error."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ttom.errors import UserError
from ttom.video import enlarge, write_video


@pytest.fixture
def fill_new_memory() -> Iterator[Callable[[int], None]]:
    """Have the C library write a byte all over the memory that it hands out (glibc's M_PERTURB)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        pytest.skip("the C library has no mallopt")
    perturb = -6

    def fill(byte: int) -> None:
        assert library.mallopt(perturb, byte)

    yield fill
    fill(0)


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


@pytest.mark.parametrize("width", [64, 832])
def test_the_bytes_depend_on_the_frames_alone(
    tmp_path: Path, fill_new_memory: Callable[[int], None], width: int
) -> None:
    """Not on what the encoder's memory held before. Can fail only on a processor with AVX-512."""
    y, x = np.mgrid[:256, :width]
    moving = [(100 * np.sin((x + 7 * t) / 37), 90 * np.cos((y - 3 * t) / 29), (x + y + 5 * t) % 256) for t in range(17)]
    video = np.moveaxis(np.array(moving), 1, -1).astype(np.int64).astype(np.uint8)
    encoded = set()
    for byte in (0, 1, 3, 85, 127):
        fill_new_memory(byte)
        write_video(video, tmp_path / "v.mp4", fps=8)
        encoded.add((tmp_path / "v.mp4").read_bytes())
    assert len(encoded) == 1


def test_a_failing_encoder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_video(np.zeros((1, 16, 16, 3), np.uint8), tmp_path / "none" / "v.mp4", fps=8)

    def broken(*_: object, **__: object) -> None:
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(av.VideoFrame, "from_ndarray", broken, raising=True)
    with pytest.raises(UserError, match="cannot be encoded"):
        write_video(np.zeros((1, 16, 16, 3), np.uint8), tmp_path / "v.mp4", fps=8)
