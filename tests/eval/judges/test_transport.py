"""Requests to a vision language model: tries, failures, cost, on a real HTTP server on loopback."""

from __future__ import annotations

import pytest

from eval.judges.protocol import Video
from eval.judges.video import VideoError
from tests.chat_server import ChatServer, completion
from tests.chat_server import Reply as Served
from tests.eval.judges.talking import KEY, answer, consistent, judge
from ttom.errors import SetupError, UserError


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
        (Served("<html>welcome</html>"), "the server's answer is not JSON"),
        (Served("[" * 100_000), "the server's answer is not JSON"),
        (
            Served("<html>welcome</html>", headers={"Content-Type": "text/html"}),
            "the server's answer is not a chat completion",
        ),
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
