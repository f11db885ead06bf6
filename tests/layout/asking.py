"""What the tests of the LLM planner share: a prompt, its plan, and a server that misbehaves in one stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.chat_server import ChatServer, Request
from ttom.config import PlannerConfig
from ttom.layout.planning import Planned, plan_prompt

PROMPT = "A red balloon moves from left to right"
ASPECT = 1.5
Settings = Callable[..., PlannerConfig]


def plan(config: PlannerConfig, prompt: str = PROMPT) -> Planned:
    return plan_prompt(prompt, ASPECT, config)


def stages(server: ChatServer) -> list[str]:
    return [request.stage for request in server.requests]


def only(stage: str, behave: Callable[[Request], Any]) -> Callable[[Request, int], Any]:
    """Misbehave in one stage."""
    return lambda request, number: behave(request) if request.stage == stage else None
