"""Video files hold the frames that went in, and a failing encoder is an error."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ttom.errors import UserError
from ttom.video import enlarge, write_video

BLACK = np.zeros((1, 16, 16, 3), np.uint8)


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
        write_video(BLACK, tmp_path / "none" / "v.mp4", fps=8)

    def broken(*_: object, **__: object) -> None:
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(av.VideoFrame, "from_ndarray", broken, raising=True)
    with pytest.raises(UserError, match="cannot be encoded"):
        write_video(BLACK, tmp_path / "v.mp4", fps=8)


def test_settings_that_the_encoder_refuses_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttom.video._X264", {"profile": "nonsense"})
    with pytest.raises((UserError, OSError)):
        write_video(BLACK, tmp_path / "v.mp4", fps=8)


def test_a_build_without_the_encoder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = av.container.OutputContainer.add_stream

    class Without:
        def __init__(self, container: object) -> None:
            self.container = container

        def __enter__(self) -> Without:
            return self

        def __exit__(self, *_: object) -> None:
            self.container.close()  # type: ignore[attr-defined]

        def add_stream(self, _: str, **named: object) -> object:
            return real(self.container, "no_such_encoder", **named)  # type: ignore[arg-type]

    opened = av.open
    monkeypatch.setattr(av, "open", lambda *given, **named: Without(opened(*given, **named)))
    with pytest.raises(UserError, match="v.mp4 cannot be encoded: .*no_such_encoder"):
        write_video(BLACK, tmp_path / "v.mp4", fps=8)


def test_a_disk_that_fills_up_within_the_video_is_an_error(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow: half a video was once taken for a whole one."""
    code = (
        "import resource, signal, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from ttom.video import write_video\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))\n"
        "video = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), np.uint8)\n"
        "try:\n    write_video(video, Path(sys.argv[1]), fps=8)\n"
        "except OSError as error:\n    print('error', error.errno)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-c", code, str(tmp_path / "v.mp4")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == f"error {errno.EFBIG}\n", done.stderr
