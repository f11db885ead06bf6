"""The judge without learning on a video file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from eval.judges.blobs import make
from eval.judges.options import JudgeOptions
from eval.judges.protocol import Video, refusal
from eval.types import Question
from ttom.emojiworld.nouns import INDEX
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.emojiworld.scene import Scene, Thing
from ttom.video import enlarge, write_video

ASKED = Question(kind="blobs", options={"frames": 5})


def stored(pictures: np.ndarray, path: Path) -> Video:
    write_video(pictures, path, 8)
    return Video(path, hashlib.sha256(path.read_bytes()).hexdigest(), len(pictures))


def test_it_sees_what_moves_and_its_color(tmp_path: Path) -> None:
    scene = Scene("motion", [Thing(INDEX["ball"], ((20, 30), (76, 30)), 18, color="green")])
    frames = Renderer()(pack([scene]), frame_times())[0][0]
    pictures = ((frames + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 3, 0).numpy()
    (reply,) = make(JudgeOptions()).answer(stored(enlarge(pictures), tmp_path / "a.mp4"), [ASKED])
    assert [[item["color"] for item in frame] for frame in reply.value] == [["green"]] * 5
    middles = [(frame[0]["box"][0] + frame[0]["box"][2]) / 2 for frame in reply.value]
    assert np.allclose(middles, np.linspace(20 / 96, 76 / 96, 5), atol=0.02)


def test_other_videos_are_refused(tmp_path: Path) -> None:
    video = stored(np.zeros((2, 480, 832, 3), np.uint8), tmp_path / "b.mp4")
    (reply,) = make(JudgeOptions()).answer(video, [ASKED])
    assert refusal(reply.value) == "not a video of EmojiWorld"
