"""The vision language model as a judge, against a real HTTP server on loopback."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.judges.protocol import Video, refusal
from eval.judges.video import VideoError
from eval.metrics.compbench import dialogues as compbench
from eval.metrics.dialogues import question
from eval.types import Question
from tests.chat_server import ChatServer, Request, completion
from tests.chat_server import Reply as Served
from tests.eval.judges.talking import KEY, answer, consistent, judge


def texts(request: Request) -> list[str]:
    return [part["text"] for m in request.body["messages"] for part in m["content"] if isinstance(part, dict) and
            part["type"] == "text"]  # fmt: skip


def pictures(request: Request) -> list[np.ndarray]:
    addresses = [part["image_url"]["url"] for m in request.body["messages"] for part in m["content"]
                 if isinstance(part, dict) and part["type"] == "image_url"]  # fmt: skip
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    raw = [base64.b64decode(address.split(",")[1]) for address in addresses]
    return [np.asarray(Image.open(io.BytesIO(data))) for data in raw]


def test_a_dialogue_is_played(server: ChatServer, video: Video) -> None:
    server.behave = lambda request, number: ["two cars", '{"option": "B"}', '{"option": "C"}'][number]
    (reply,) = answer(judge(server), video, consistent(seed=2))
    assert reply.value == {"choices": ["B", "C"], "replies": ["two cars", '{"option": "B"}', '{"option": "C"}']}
    first, second, third = server.requests
    for request in server.requests:
        assert (request.body["model"], request.body["temperature"], request.body["seed"]) == ("tiny", 0.1, 2)
        assert request.body["max_tokens"] == 512
        assert request.headers["authorization"] == f"Bearer {KEY}"
    assert len(texts(second)) == 2 and "'a blue car'" in texts(second)[1]
    assert len(texts(third)) == 2 and "'a white fence'" in texts(third)[1]  # without the question before it
    assert second.body["messages"][1] == {"role": "assistant", "content": "two cars"}


def test_the_grid_has_six_frames_in_rows_of_two(server: ChatServer, video: Video) -> None:
    answer(judge(server), video)
    (grid,) = pictures(server.requests[0])
    assert grid.shape == (3 * 32, 2 * 48, 3)
    corners = grid[16::32, 24::48].mean(axis=-1)
    np.testing.assert_allclose(corners, [[0, 48], [96, 144], [192, 240]], atol=3)


def test_pictures_are_bounded(server: ChatServer, video: Video) -> None:
    answer(judge(server, max_side=24), video)
    assert max(pictures(server.requests[0])[0].shape[:2]) == 24


def test_single_frames_start_new_conversations(server: ChatServer, video: Video) -> None:
    server.behave = lambda request, number: '{"option": "D"}'
    asked = question(compbench.DYNAMIC, {"state 0": "a bud", "state 1": "a flower"}, 0.0, 0)
    (reply,) = answer(judge(server), video, asked)
    assert reply.value["choices"] == {"states": ["D"] * 4, "middle": []}
    shown = [int(pictures(request)[0].mean() / 16 + 0.5) for request in server.requests]
    assert shown == [0, 0, 0, 15, 15, 15]


def test_nonsense_is_an_unreadable_choice(server: ChatServer, video: Video) -> None:
    server.behave = lambda request, number: "I would say A"
    (reply,) = answer(judge(server), video)
    assert reply.value["choices"] == [None, None]
    server.behave = lambda request, number: completion(None)
    (reply,) = answer(judge(server), video)
    assert reply.value["choices"] == [None, None]


def test_refusals_are_answers(server: ChatServer, video: Video) -> None:
    for body in (completion(None, refusal="no"), completion("", finish="content_filter")):
        server.behave = lambda request, number, body=body: Served(body)
        (reply,) = answer(judge(server), video)
        assert refusal(reply.value) == "the model refuses: refusal or content filter"
    (reply,) = answer(judge(server), video, Question(kind="dialogue", text="none/v1", options={}))
    assert refusal(reply.value) == "unknown dialogue none/v1"


def test_another_model_is_another_judge(server: ChatServer) -> None:
    one, other = judge(server), judge(server, model="large")
    assert one.name != other.name and one.version != other.version
    assert judge(server, max_side=512).version != one.version
    assert judge(server, concurrency=2, timeout=9.0).version == one.version
    assert one.workers == 8


def test_missing_video(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="missing video"):
        answer(judge(server), Video(tmp_path / "no.mp4", "0" * 64))
    assert not server.requests
