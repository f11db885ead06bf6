"""Settings that make the LLM planner use the chat server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import ChatServer
from ttom.config import PlannerConfig


@pytest.fixture
def settings(server: ChatServer, tmp_path: Path) -> Callable[..., PlannerConfig]:
    """Settings for the server, with some of them changed."""

    def make(**changes: Any) -> PlannerConfig:
        base = {"kind": "llm", "base_url": server.url, "cache_dir": str(tmp_path / "cache"), "timeout": 10.0}
        return PlannerConfig(**{**base, **changes})

    return make
