"""Plans of the LLM planner are paid for once: the cache, its key, and planning offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import (
    ChatServer,
)
from tests.layout.asking import ASPECT, PROMPT, Settings, plan
from ttom.errors import UserError
from ttom.layout.planning import plan_prompt


def test_a_plan_is_paid_for_once(server: ChatServer, settings: Settings) -> None:
    first = plan(settings(input_price=1.0, output_price=1.0))
    again = plan(settings(base_url="http://127.0.0.1:9/v1"))
    assert again.layout == first.layout
    assert len(server.requests) == 4
    assert (again.report.cached, again.report.requests, again.report.cost_usd) == (True, 0, 0.0)
    plan(settings(refresh=True))
    assert len(server.requests) == 8


@pytest.mark.parametrize(
    "change",
    [{"model": "other"}, {"stages": ("metadata", "layout")}, {"temperature": 0.5}, {"min_size": 0.1}],
)
def test_other_settings_are_other_plans(server: ChatServer, settings: Settings, change: dict[str, Any]) -> None:
    plan(settings())
    before = len(server.requests)
    plan(settings(**change))
    assert len(server.requests) > before
    plan(settings(concurrency=1, timeout=5.0, strict=True, **change))
    assert plan_prompt(PROMPT, 2.0, settings(**change)).report.cached is False


def test_stage_texts_are_part_of_the_key(
    server: ChatServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ttom.layout.llm import planner as llm

    before = llm.LLMPlanner(settings(), ASPECT).cache_key(PROMPT)
    monkeypatch.setattr(llm, "stage_text", lambda stage: "another text")
    assert llm.LLMPlanner(settings(), ASPECT).cache_key(PROMPT) != before


def test_offline_uses_the_cache_alone(server: ChatServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="has no plan of the prompt"):
        plan(settings(offline=True))
    plan(settings())
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    assert plan(settings(offline=True, base_url=None)).report.cached is True
    assert len(server.requests) == 4


def test_a_spoilt_entry_is_planned_anew(server: ChatServer, settings: Settings, tmp_path: Path) -> None:
    plan(settings())
    (entry,) = (tmp_path / "cache").rglob("*.json")
    for spoilt in ("", "{", "[]", '{"version": 1}', '{"version": 1, "layout": {}, "report": {}}', "\x00" * 10):
        entry.write_text(spoilt)
        server.requests.clear()
        assert plan(settings()).layout.source == "llm"
        assert len(server.requests) == 4


def test_a_cache_that_cannot_be_written_costs_a_warning(
    server: ChatServer, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    planned = plan(settings(cache_dir=str(tmp_path / "file")))
    assert planned.layout.source == "llm"
    assert "could not be kept" in caplog.text
