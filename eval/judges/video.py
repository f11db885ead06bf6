"""Reading a video, bounded in size, with one reason for whatever is wrong with it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

MAX_FRAMES = 2000
MAX_BYTES = 4 * 2**30
"""Decoded bytes of one video: 81 frames of 1280 x 720 take 0.2 GiB."""
MAX_FILE = 2**30


class VideoError(Exception):
    """A video that cannot be judged; its text is the reason that is counted, without the file's name.

    Attributes:
        lasting: Whether the very file that was recorded is at fault, so that asking again is of no use.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


def read_video(path: Path, *, frames: int | None = None, sha256: str | None = None) -> np.ndarray:
    """All frames, uint8 ``(T, H, W, 3)``.

    Args:
        frames: How many there must be.
        sha256: What the file must hash to.

    Raises:
        VideoError: "missing video", "not the recorded video", "unreadable video", "N frames instead of M", "too large".
    """
    import av

    checked = sha256 is not None
    data = _read_file(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise VideoError("not the recorded video")
    pictures: list[np.ndarray] = []
    total = 0
    try:
        with av.open(io.BytesIO(data), "r") as container:
            for frame in container.decode(video=0):
                total += 3 * frame.width * frame.height
                if len(pictures) >= MAX_FRAMES or total > MAX_BYTES:
                    raise VideoError("too large", lasting=checked)
                pictures.append(frame.to_ndarray(format="rgb24"))
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise VideoError("unreadable video", lasting=checked) from error
    if not pictures or any(picture.shape != pictures[0].shape for picture in pictures):
        raise VideoError("unreadable video", lasting=checked)
    if frames is not None and len(pictures) != frames:
        raise VideoError(f"{len(pictures)} frames instead of {frames}", lasting=checked)
    return np.stack(pictures)


def _read_file(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError("missing video") from None
    except OSError as error:
        raise VideoError("unreadable video") from error
    if len(data) > MAX_FILE:
        raise VideoError("too large")
    return data
