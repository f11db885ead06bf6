"""A language model's words for generated prompts: taken only where they tell the same scene."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.emojiworld import pseudo_train
from experiments.emojiworld.rewording import reworded, same_scene
from tests.chat_server import ChatServer, Reply
from ttom.config import PlannerConfig
from ttom.emojiworld.training_prompts import TrainingPrompt, training_prompts


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("A cat moves to the left", "A cat runs leftwards", True),
        ("A cat moves to the left", "A cat runs to the right", False),
        ("A cat moves to the left", "A dog moves to the left", False),
        ("Three dogs on the beach", "On the beach there are three dogs", True),
        ("Three dogs on the beach", "Four dogs on the beach", False),
        ("A cup on the left of a book", "A book on the right of a cup", True),
        ("A cup on the left of a book", "A book on the left of a cup", False),
        ("A cup on the left of a book", "Slowly and beautifully", False),
    ],
)
def test_same_scene(text: str, other: str, same: bool) -> None:
    assert (same_scene(text, other, 1.5) is not None) == same


def keys(chosen: list[TrainingPrompt]) -> set[str]:
    return {prompt.key for prompt in chosen}


def config(server: ChatServer) -> PlannerConfig:
    return PlannerConfig(kind="llm", base_url=server.url, retries=0)


def test_sentences_of_other_scenes_and_unknown_words_are_not_taken(server: ChatServer) -> None:
    chosen = training_prompts(25)

    def answer(request: object, number: int) -> dict[str, list[str]]:
        told = json.loads(request.body["messages"][1]["content"])["sentences"]  # type: ignore[attr-defined]
        return {"sentences": [f"{text}, quietly" if i % 2 else "A moon" for i, text in enumerate(told)]}

    server.behave = answer
    made, taken = reworded(chosen, config(server), 1.5, keys(chosen), lambda text: [])
    assert len(server.requests) == 2  # 20 and 5
    kept = [new == old for new, old in zip(made, chosen, strict=True)]
    assert all(kept[i] for i in range(0, 20, 2))
    assert taken == kept.count(False) > 5
    for new, old in zip(made, chosen, strict=True):
        assert new == old or (new.text == f"{old.text}, quietly" and new.scene is old.scene)
    assert len({prompt.key.lower() for prompt in made}) == len(made)
    assert reworded(chosen, config(server), 1.5, keys(chosen), lambda text: ["quietly"]) == (chosen, 0)


@pytest.mark.parametrize("body", [Reply(status=500), '{"sentences": ["one"]}', "no"])
def test_a_failing_model_leaves_the_templates(server: ChatServer, body: Reply | str) -> None:
    server.behave = lambda request, number: body
    chosen = training_prompts(3)
    assert reworded(chosen, config(server), 1.5, keys(chosen), lambda text: []) == (chosen, 0)


def test_the_words_are_kept_beside_the_memory(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(pseudo_train, "fill", lambda chosen, *_, **__: seen.append([p.text for p in chosen]) or 0)
    server.behave = lambda request, number: {
        "sentences": [f"{text}, quietly" for text in json.loads(request.body["messages"][1]["content"])["sentences"]]
    }
    call = ["pseudo_train", "--memory", str(tmp_path / "m"), "--count", "4", "--llm", "some", "--base-url", server.url]
    for _ in range(2):
        monkeypatch.setattr("sys.argv", [*call, "--device", "cpu"])
        assert pseudo_train.main() == 0
    assert len(server.requests) == 1
    assert seen[0] == seen[1]
    assert "of 4 prompts in the words of some" in capsys.readouterr().out
