"""The LLM planner against a real server on loopback: what servers do wrong, and set-ups that cannot work."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import (
    ChatServer,
    Reply,
    Request,
    completion,
    one_call,
    serving,
)
from tests.layout.asking import Settings, plan
from ttom.config import PlannerConfig
from ttom.errors import SetupError, UserError
from ttom.layout.llm.chat import MAX_OUTPUT_TOKENS
from ttom.layout.llm.transport import MAX_BODY, BoundedClient
from ttom.layout.planning import FailedPlan, Planned, plan_prompts

# -- servers ----------------------------------------------------------------------------------------------------------


def test_refusals_fall_to_the_rules(server: ChatServer, settings: Settings) -> None:
    for reply in (completion(None, refusal="I cannot help"), completion(None, finish="content_filter")):
        server.requests.clear()
        server.behave = lambda request, number, reply=reply: Reply(reply)
        planned = plan(settings())
        assert planned.layout.source == "rules"
        assert "refused" in planned.report.fallback
        assert len(server.requests) == 1


def test_an_answer_cut_off_by_the_length_limit_is_asked_for_again(server: ChatServer, settings: Settings) -> None:
    text = json.dumps(one_call())
    server.behave = lambda request, number: Reply(completion(text[:-40], finish="length")) if number == 0 else None
    assert plan(settings(stages=("one-call",))).report.repairs == 1


def test_429_waits_as_long_as_the_server_asks(server: ChatServer, settings: Settings) -> None:
    busy = Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.3"})
    server.behave = lambda request, number: busy if number == 0 else None
    planned = plan(settings(stages=("one-call",)))
    assert planned.layout.source == "llm"
    assert planned.report.seconds >= 0.3
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.01"}), "429: slow down"),
        (Reply({"error": {"message": "oh no"}}, 500), "500: oh no"),
        (Reply("<html>bad gateway</html>", 502, {"Content-Type": "text/html"}), "502"),
        (Reply(reset=True), "the connection broke"),
        (Reply({}, hang=2.0), "kept silent for 0.2 s"),
    ],
    ids=["429", "500", "502", "reset", "hang"],
)
def test_a_server_that_goes_on_failing(server: ChatServer, settings: Settings, reply: Reply, reason: str) -> None:
    server.behave = lambda request, number: reply
    planned = plan(settings(retries=2, timeout=0.2))
    assert planned.layout.source == "rules"
    assert reason in planned.report.fallback
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "reply", [Reply({}, 500), Reply(reset=True), Reply({}, hang=1.0)], ids=["500", "reset", "hang"]
)
def test_a_server_that_recovers(server: ChatServer, settings: Settings, reply: Reply) -> None:
    server.behave = lambda request, number: reply if number % 2 == 0 else None
    assert plan(settings(stages=("one-call",), timeout=0.3)).layout.source == "llm"


@pytest.mark.parametrize("refused", [("json_schema",), ("json_schema", "json_object")])
def test_servers_without_structured_outputs(server: ChatServer, settings: Settings, refused: tuple[str, ...]) -> None:
    def behave(request: Request, number: int) -> Any:
        if request.form in refused:
            return Reply({"error": {"message": "response_format is not supported"}}, 400)
        return None

    server.behave = behave
    planned = plan(settings())
    forms = [request.form for request in server.requests]
    plain = {1: "json_object", 2: None}[len(refused)]
    assert forms == [*refused, *[plain] * 4], "the server is asked in its own way from then on"
    assert planned.report.answer_form == {1: "json_object", 2: "text"}[len(refused)]
    assert '"additionalProperties"' in server.requests[-1].body["messages"][0]["content"], "the schema is told instead"


def test_servers_that_ignore_the_form_and_talk_around_the_json(server: ChatServer, settings: Settings) -> None:
    def talk(request: Request, number: int) -> str:
        return f"<think>{{hm}} a plan</think>Sure!\n```json\n{json.dumps(one_call())}\n```\nAnything else?"

    server.behave = talk
    assert plan(settings(stages=("one-call",))).report.repairs == 0


def test_models_that_take_no_temperature(server: ChatServer, settings: Settings) -> None:
    refusal = Reply({"error": {"message": "Unsupported value: 'temperature' does not support 0.2"}}, 400)
    server.behave = lambda request, number: refusal if "temperature" in request.body else None
    planned = plan(settings())
    assert (planned.layout.source, planned.report.answer_form) == ("llm", "json_schema")
    assert len(server.requests) == 5
    plan(settings(temperature=None, refresh=True))
    assert "temperature" not in server.requests[-1].body


def test_usage_may_be_missing(server: ChatServer, settings: Settings) -> None:
    body = completion(json.dumps(one_call()))
    del body["usage"]
    server.behave = lambda request, number: Reply(body)
    report = plan(settings(stages=("one-call",))).report
    assert (report.input_tokens, report.cost_usd) == (0, None)


# -- bad set-up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply({"error": {"message": "Incorrect API key: sk-secret-of-the-test"}}, 401), "does not accept the key"),
        (Reply({"error": {"message": "The model 'gpt-9' does not exist"}}, 404), "does not know the model.*gpt-9"),
        (Reply({"detail": "Not Found"}, 404), "or the address"),
        (Reply("<html>hello</html>", headers={"Content-Type": "text/html"}), "does not speak chat completions"),
        (Reply("not json"), "does not speak chat completions"),
        (Reply({"hello": 1}), "does not speak chat completions"),
        (Reply({"error": {"message": "pay", "code": "insufficient_quota"}}, 429), "no credit left"),
    ],
    ids=["key", "model", "path", "html", "no json", "other json", "quota"],
)
def test_what_no_prompt_can_survive(server: ChatServer, settings: Settings, reply: Reply, problem: str) -> None:
    server.behave = lambda request, number: reply
    with pytest.raises(SetupError, match=problem) as error:
        plan(settings(retries=0))
    assert "sk-secret" not in str(error.value)
    assert error.value.expected and error.value.remedy


def test_a_wrong_address(settings: Settings) -> None:
    for address in ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"):
        planned = plan(settings(base_url=address, retries=0))
        assert planned.layout.source == "rules"
        assert f"nothing answers at {address}" in planned.report.fallback
        with pytest.raises(FailedPlan, match=f"nothing answers at {address}"):
            plan(settings(base_url=address, retries=0, strict=True))


def test_a_dead_server_is_tried_once_for_many_prompts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[object] = []
    real = BoundedClient.send

    async def send(self: BoundedClient, request: Any, **options: Any) -> Any:
        tries.append(request)
        return await real(self, request, **options)

    monkeypatch.setattr(BoundedClient, "send", send)
    prompts = [f"{number} dogs" for number in range(2, 7)]
    config = settings(base_url="http://127.0.0.1:9/v1", retries=0, concurrency=1)
    outcomes = plan_prompts(prompts, 1.5, config)
    assert [outcome.report.planner for outcome in outcomes if isinstance(outcome, Planned)] == ["llm"] * 5
    assert len(tries) == 1
    assert caplog.text.count("planned by the rules instead") == 5


def test_a_website_is_no_endpoint(server: ChatServer, settings: Settings) -> None:
    with pytest.raises(SetupError, match="the address"):
        plan(settings(base_url=server.url.removesuffix("/v1")))


def test_no_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SetupError, match="OPENAI_API_KEY is not set"):
        plan(settings(base_url=None))
    with pytest.raises(SetupError, match="MY_KEY is not set"):
        plan(settings(base_url=None, key_variable="MY_KEY"))
    assert plan(settings()).layout.source == "llm", "an endpoint of one's own may need none"


def test_a_key_that_no_header_holds(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ключ")
    with pytest.raises(SetupError, match="characters that no key has") as error:
        plan(settings())
    assert "ключ" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", "http://", "http://me:word@host/v1", "http://h/?key=1"]
)
def test_addresses_are_plain(url: str, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    with pytest.raises(UserError, match="not a plain http address") as error:
        PlannerConfig(base_url=url)
    assert "word" not in error.value.problem
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(SetupError, match="OPENAI_BASE_URL"):
        plan(settings(base_url=None))


def test_the_address_may_come_from_the_environment(
    server: ChatServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert plan(settings(base_url=None)).layout.source == "llm"


def test_a_missing_package_is_named_with_its_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(SetupError, match=r'pip install "ttom\[llm\]"'):
        plan(settings())


def test_the_key_is_nowhere(server: ChatServer, settings: Settings, tmp_path: Path, caplog: Any) -> None:
    echo = Reply({"error": {"message": "bad header Bearer sk-secret-of-the-test"}}, 500)
    server.behave = lambda request, number: echo if number < 1 else None
    with caplog.at_level(logging.DEBUG):
        fallen, good = plan(settings(retries=0)), plan(settings())
    for text in (str(fallen), str(good), caplog.text, *(p.read_text() for p in tmp_path.rglob("*.json"))):
        assert "sk-secret" not in text
    assert "[key]" in fallen.report.fallback


def test_a_server_that_never_finishes(server: ChatServer, settings: Settings) -> None:
    server.behave = lambda request, number: Reply("{}" + " " * 100, drip=0.04)
    assert "took more than 0.5 s" in plan(settings(retries=0, timeout=0.05)).report.fallback


# -- too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_body_is_read_up_to_the_bound(server: ChatServer, settings: Settings, status: int) -> None:
    server.behave = lambda request, number: Reply(b'{"choices": [' + b" " * 50_000, status, endless=True)
    planned = plan(settings())
    assert planned.layout.source == "rules"
    assert f"more than {MAX_BODY} bytes" in planned.report.fallback
    assert len(server.requests) == 1
    assert server.sent < 5 * MAX_BODY, "what fits into the buffers of two sockets comes on top"


def test_a_compressed_answer_is_not_unpacked(
    server: ChatServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    monkeypatch.setattr("zlib.decompressobj", None)
    server.behave = lambda request, number: Reply(bomb, headers={"Content-Encoding": "gzip"})
    assert "compressed (gzip)" in plan(settings()).report.fallback
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: ChatServer, settings: Settings, status: int) -> None:
    with serving() as other:
        elsewhere = {"Location": f"{other.url}/chat/completions"}
        server.behave = lambda request, number: Reply({}, status, elsewhere)
        with pytest.raises(SetupError, match="sends the prompt on to another address"):
            plan(settings(retries=0))
        assert other.requests == []


def test_thoughts_that_never_end_are_dropped(server: ChatServer, settings: Settings) -> None:
    text = "<think>" + "a < b, and so on; " * 75_000
    server.behave = lambda request, number: text
    planned = plan(settings(stages=("one-call",)))
    assert "no complete JSON object" in planned.report.fallback
    assert len(server.requests) == 3
    assert server.requests[-1].body["messages"][2]["content"] == "", "thoughts are not sent back"


def test_a_body_too_deep_for_a_reader(server: ChatServer, settings: Settings) -> None:
    server.behave = lambda request, number: Reply('{"choices": ' + "[" * 100_000)
    with pytest.raises(SetupError, match="does not speak chat completions"):
        plan(settings())


# -- the bound of an answer -------------------------------------------------------------------------------------------


def _bounds(server: ChatServer) -> list[tuple[str, int]]:
    names = ("max_completion_tokens", "max_tokens")
    return [(name, request.body[name]) for request in server.requests for name in names if name in request.body]


def test_every_answer_is_bounded(server: ChatServer, settings: Settings) -> None:
    plan(settings())
    assert _bounds(server) == [("max_completion_tokens", MAX_OUTPUT_TOKENS)] * 4


def test_older_servers_get_the_old_name_of_the_bound(server: ChatServer, settings: Settings) -> None:
    refusal = Reply({"error": {"message": "Unrecognized request argument: max_completion_tokens"}}, 400)
    server.behave = lambda request, number: refusal if "max_completion_tokens" in request.body else None
    assert plan(settings()).layout.source == "llm"
    assert _bounds(server)[1:] == [("max_tokens", MAX_OUTPUT_TOKENS)] * 4


def test_a_small_context_gets_a_lower_bound(server: ChatServer, settings: Settings) -> None:
    message = "'max_tokens' or 'max_completion_tokens' is too large: this model's context length is 8192 tokens"
    small = Reply({"error": {"message": message}}, 400)
    server.behave = lambda request, number: small if request.body["max_completion_tokens"] > 5_000 else None
    assert plan(settings(stages=("one-call",))).layout.source == "llm"
    assert [tokens for _, tokens in _bounds(server)] == [16_384, 8_192, 4_096]
    server.behave = lambda request, number: small
    assert "too large" in plan(settings(stages=("one-call",), refresh=True)).report.fallback


@pytest.mark.parametrize(
    "body",
    [
        [], 3, None, {"choices": []}, {"choices": {}}, {"choices": [None]}, {"choices": [{}]}, {"choices": [3]},
        {"choices": [{"message": None}]}, {"choices": [{"message": {"content": [{"type": "text"}]}}]},
    ],
)  # fmt: skip
def test_other_shapes_of_answers_are_no_chat(server: ChatServer, settings: Settings, body: Any) -> None:
    server.behave = lambda request, number: Reply(body)
    with pytest.raises(SetupError, match="does not speak chat completions"):
        plan(settings(retries=0))


@pytest.mark.parametrize("usage", [[], 3, {}, {"prompt_tokens": "many"}, {"prompt_tokens": None}])
def test_other_shapes_of_usage_count_nothing(server: ChatServer, settings: Settings, usage: Any) -> None:
    body = {"choices": [{"message": {"content": json.dumps(one_call())}}], "usage": usage}
    server.behave = lambda request, number: Reply(body)
    assert plan(settings(stages=("one-call",))).report.input_tokens == 0
