"""Video files: H.264 by PyAV, in this process, so that an encoder that fails is an error and not a broken file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ttom.errors import UserError

VIEWING_HEIGHT = 480
"""Videos much lower than this many pixels are enlarged by a whole factor for viewing."""
_X264 = {"crf": "18", "threads": "1", "mbtree": "0"}
"""Visually lossless (0 is exact, 51 the worst), and the same bytes for the same frames.

The bytes depend on the number of threads, hence one. With AVX-512, x264's macroblock tree (mbtree) reads memory that
nothing has written to, unless the width is a multiple of 128 pixels; Wan's 832 is not.
"""


def enlarge(video: np.ndarray, height: int = VIEWING_HEIGHT) -> np.ndarray:
    """``(T, H, W, 3)`` enlarged by the whole factor that brings H nearest to ``height``; never made smaller."""
    factor = max(1, round(height / video.shape[1]))
    return video.repeat(factor, axis=1).repeat(factor, axis=2)


def write_video(video: np.ndarray, path: Path, fps: int) -> None:
    """Write uint8 ``(T, H, W, 3)`` as H.264, yuv420p; an odd side grows by one pixel, which that format needs.

    There is no time limit. The encoder is a library in this process, not a program that could wait for input or be
    killed alone: its work is bounded by the frames, and Python cannot stop it within a call. What could block, such as
    a FIFO as the target, is excluded by writing to a new file (`ttom.files.staged`).

    Raises:
        OSError: If the file cannot be written.
        UserError: If the encoder fails.
    """
    import av

    height, width = video.shape[1:3]
    video = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    try:
        # faststart: the index in front, so that a browser plays while it loads.
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options=_X264)
            stream.width, stream.height, stream.pix_fmt = video.shape[2], video.shape[1], "yuv420p"
            for picture in video:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError) as error:  # the latter: built without x264
        if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
            raise OSError(error.errno, error.strerror) from error
        raise UserError(f"the video {path.name} cannot be encoded: {error}") from error
