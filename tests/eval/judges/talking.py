"""Questions for the vision language model, and what a request held."""

from __future__ import annotations

import json
from typing import Any

from eval.judges.options import VlmOptions
from eval.judges.protocol import Reply, Video
from eval.judges.vlm import VlmJudge
from eval.metrics.compbench import dialogues as compbench
from eval.metrics.dialogues import question
from eval.types import Question
from tests.chat_server import ChatServer

PHRASES = {"phrases": "a blue car; a white fence"}


KEY = "sk-very-secret"


def say(option: str) -> Any:
    return lambda request, number: json.dumps({"explanation": "seen", "option": option})


def judge(server: ChatServer, **options: Any) -> VlmJudge:
    base = {"model": "tiny", "base_url": server.url, "retries": 0, "timeout": 5.0}
    return VlmJudge(VlmOptions(**{**base, **options}))


def consistent(seed: int = 0) -> Question:
    return question(compbench.CONSISTENT, PHRASES, 0.1, seed)


def answer(one: VlmJudge, video: Video, *asked: Question) -> list[Reply]:
    return list(one.answer(video, asked or [consistent()]))
