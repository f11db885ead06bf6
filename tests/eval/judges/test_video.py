"""Reading videos: what is right comes back, what is wrong has one reason."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from eval.judges import video as reading
from eval.judges.video import VideoError, read_video
from tests.eval.judged import clip
from ttom.video import write_video


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_video(clip(3), tmp_path / "a.mp4", 8)
    return tmp_path / "a.mp4"


def reason(file: Path, **expected: object) -> tuple[str, bool]:
    with pytest.raises(VideoError) as caught:
        read_video(file, **expected)  # type: ignore[arg-type]
    return str(caught.value), caught.value.lasting


def sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_all_frames_come_back(file: Path) -> None:
    video = read_video(file, frames=17, sha256=sha(file))
    assert video.shape == (17, 32, 48, 3) and video.dtype == np.uint8
    assert np.abs(video.astype(int) - clip(3)).mean() < 4


def test_missing_and_changed_files_may_be_mended(file: Path) -> None:
    assert reason(file.parent / "b.mp4") == ("missing video", False)
    assert reason(file / "b.mp4", sha256="0" * 64) == ("missing video", False)
    assert reason(file, sha256="0" * 64) == ("not the recorded video", False)


def test_a_wrong_number_of_frames(file: Path) -> None:
    assert reason(file, frames=81, sha256=sha(file)) == ("17 frames instead of 81", True)


def test_a_truncated_video(file: Path) -> None:
    """The index is in front, so that half a file still opens."""
    whole = file.read_bytes()
    for share in (0.99, 0.7, 0.4):
        file.write_bytes(whole[: int(share * len(whole))])
        why, lasting = reason(file, frames=17, sha256=sha(file))
        assert lasting and (why == "unreadable video" or why.endswith("frames instead of 17"))


@pytest.mark.parametrize("content", [b"", b"not a video", bytes(10_000), b"\x00\x00\x00\x18ftypmp42" + bytes(500)])
def test_what_is_no_video(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert reason(file, sha256=sha(file)) == ("unreadable video", True)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert reason(tmp_path / "a.mp4")[0] == "unreadable video"


def test_size_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as limited:
        limited.setattr(reading, "MAX_FRAMES", 5)
        assert reason(file)[0] == "too large"
    with monkeypatch.context() as limited:
        limited.setattr(reading, "MAX_BYTES", 10_000)
        assert reason(file)[0] == "too large"
    monkeypatch.setattr(reading, "MAX_FILE", 100)
    assert reason(file, sha256="0" * 64)[0] == "too large"
