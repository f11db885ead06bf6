"""The vision language model as a judge, against a real HTTP server on loopback."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.judges.options import VlmOptions
from eval.judges.protocol import Reply, Video, refusal
from eval.judges.video import VideoError
from eval.judges.vlm import VlmJudge
from eval.metrics.compbench import dialogues as compbench
from eval.metrics.dialogues import question
from eval.types import Question
from tests.chat_server import ChatServer, Request, completion, serving
from tests.chat_server import Reply as Served
from ttom.errors import SetupError, UserError
from ttom.video import write_video

PHRASES = {"phrases": "a blue car; a white fence"}
KEY = "sk-very-secret"


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


def say(option: str) -> Any:
    return lambda request, number: json.dumps({"explanation": "seen", "option": option})


def judge(server: ChatServer, **options: Any) -> VlmJudge:
    base = {"model": "tiny", "base_url": server.url, "retries": 0, "timeout": 5.0}
    return VlmJudge(VlmOptions(**{**base, **options}))


def consistent(seed: int = 0) -> Question:
    return question(compbench.CONSISTENT, PHRASES, 0.1, seed)


def answer(one: VlmJudge, video: Video, *asked: Question) -> list[Reply]:
    return list(one.answer(video, asked or [consistent()]))


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


def test_tries_again_after_a_failure(server: ChatServer, video: Video) -> None:
    server.behave = lambda request, number: (
        Served({"error": {"message": "busy"}}, 429, {"Retry-After": "0.01"}) if number == 0 else '{"option": "A"}'
    )
    assert answer(judge(server, retries=1), video)[0].value["choices"] == ["A", "A"]


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (Served({"error": {"message": "broken"}}, 500), "the server answers 500"),
        (Served({"error": {"message": "too many pictures"}}, 400), "the server answers 400"),
        (Served(reset=True), "the connection breaks"),
        (Served(hang=5.0), "no reply within 0.3 s"),
        (Served({"choices": []}), "the server's answer is not a chat completion"),
        (Served(completion("x" * 5_000_000)), "a reply that is too long"),
        (Served(completion("a long story"), drip=0.05), "no reply within 0.3 s"),
        (Served(completion("hello"), headers={"Content-Encoding": "gzip"}), "a compressed reply"),
        (Served({}, 302, {"Location": "http://127.0.0.1:9/elsewhere"}), "the server answers 302"),
    ],
)
def test_failures_leave_the_question_open(server: ChatServer, video: Video, served: Served, reason: str) -> None:
    server.behave = lambda request, number: served
    with pytest.raises(VideoError) as caught:
        answer(judge(server, timeout=0.3), video)
    assert str(caught.value) == reason and not caught.value.lasting


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (401, f"wrong key {KEY}", "does not accept the key"),
        (404, "no model tiny", "does not know the model"),
        (400, "temperature is not supported", "refuses a parameter"),
    ],
)
def test_what_no_other_video_would_mend(
    server: ChatServer, video: Video, status: int, message: str, expected: str
) -> None:
    server.behave = lambda request, number: Served({"error": {"message": message}}, status)
    with pytest.raises(SetupError, match=expected) as caught:
        answer(judge(server), video)
    assert KEY not in str(caught.value)


def test_plain_requests_have_neither_temperature_nor_seed(server: ChatServer, video: Video) -> None:
    plain = judge(server, plain=True)
    answer(plain, video)
    assert not {"temperature", "seed", "max_tokens"} & set(server.requests[0].body)
    assert server.requests[0].body["max_completion_tokens"] == 512
    assert plain.version != judge(server).version


def test_a_server_that_goes_on_failing_ends_it(server: ChatServer, video: Video) -> None:
    server.behave = lambda request, number: Served({"error": {"message": "broken"}}, 503)
    one = judge(server)
    for _ in range(9):
        with pytest.raises(VideoError):
            answer(one, video)
    with pytest.raises(SetupError, match="10 requests in a row"):
        answer(one, video)


def test_nothing_there(server: ChatServer, video: Video) -> None:
    with pytest.raises(SetupError, match="nothing answers"):
        answer(judge(server, base_url="http://127.0.0.1:9/v1"), video)


def test_cost_and_budget(server: ChatServer, video: Video) -> None:
    # A request takes 100 input and 10 output tokens: (100 * 10 + 10 * 100) / 1e6 = .002 dollars, a dialogue .006
    one = judge(server, input_price=10.0, output_price=100.0, budget=0.007)
    (reply,) = answer(one, video)
    assert reply.cost == pytest.approx(0.006)
    running = one.answer(video, [consistent(1)])
    with pytest.raises(UserError, match="budget of 0.007"):
        next(running)
    assert len(server.requests) == 4  # the one that went over it, and no more


def test_settings_that_cannot_work(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="no vision language model"):
        judge(server, model=None)
    with pytest.raises(SetupError, match="prices"):
        judge(server, budget=1.0)
    with pytest.raises(SetupError, match="concurrency"):
        judge(server, concurrency=0)
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(SetupError, match="no key"):
        VlmJudge(VlmOptions(model="gpt"))


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
