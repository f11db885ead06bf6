"""A server and a video for the vision language model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from eval.judges.protocol import Video
from tests.chat_server import ChatServer, serving
from tests.eval.judges.talking import KEY, say
from ttom.video import write_video


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving() as running:
        running.behave = say("A")
        yield running


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """16 frames, each of one gray value."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    gray = np.arange(16, dtype=np.uint8)[:, None, None, None] * 16
    write_video(np.broadcast_to(gray, (16, 32, 48, 3)), path, 8)
    return Video(path, hashlib.sha256(path.read_bytes()).hexdigest(), 16)
