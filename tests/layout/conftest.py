"""The chat server, and settings that make the LLM planner use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.layout.chat_server import ChatServer, serving
from ttom.config import PlannerConfig


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A fresh server; the client's own waits between tries are short."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    with serving() as server:
        yield server


@pytest.fixture
def settings(server: ChatServer, tmp_path: Path) -> Callable[..., PlannerConfig]:
    """Settings for the server, with some of them changed."""

    def make(**changes: Any) -> PlannerConfig:
        base = {"kind": "llm", "base_url": server.url, "cache_dir": str(tmp_path / "cache"), "timeout": 10.0}
        return PlannerConfig(**{**base, **changes})

    return make
