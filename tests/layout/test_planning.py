"""Many prompts, whichever planner: order, repetitions, errors by prompt, and what is told to the caller."""

from __future__ import annotations

import asyncio

import pytest

from tests.chat_server import ChatServer, Reply
from tests.layout.asking import Settings
from ttom.config import PlannerConfig
from ttom.errors import SetupError, UserError
from ttom.layout.planning import FailedPlan, Planned, plan_prompt, plan_prompts

PROMPTS = ["Two dogs", "in a forest", "A cat runs left", "Two dogs"]


def test_outcomes_are_in_order_and_errors_by_prompt() -> None:
    done: list[None] = []
    outcomes = plan_prompts(PROMPTS, 1.5, PlannerConfig(), lambda: done.append(None))
    assert [type(outcome) for outcome in outcomes] == [Planned, UserError, Planned, Planned]
    assert outcomes[0] is outcomes[3]
    assert len(done) == 3, "once for a prompt that occurs twice"
    first = outcomes[0]
    assert isinstance(first, Planned)
    assert first.report.planner == "rules"
    assert list(first.report.notes) == list(first.layout.notes)


def test_one_prompt_raises_its_error() -> None:
    assert len(plan_prompt("Two dogs", 1.5, PlannerConfig()).layout.objects) == 2
    with pytest.raises(UserError, match="names no object"):
        plan_prompt("in a forest", 1.5, PlannerConfig())


def test_the_seed_of_the_settings_counts() -> None:
    one, same, other = (plan_prompt("Two dogs", 1.5, PlannerConfig(seed=seed)).layout for seed in (1, 1, 2))
    assert one == same != other


def test_bad_prompts_cost_no_request(server: ChatServer, settings: Settings) -> None:
    outcomes = plan_prompts(["", "a\x00cat", "x" * 20_001], 1.5, settings())
    assert [type(outcome) for outcome in outcomes] == [UserError] * 3
    assert server.requests == []


def test_offline_takes_the_cache_only(server: ChatServer, settings: Settings) -> None:
    prompt = "A red balloon moves left"
    assert plan_prompt(prompt, 1.5, settings()).report.cached is False
    server.requests.clear()
    found, missing = plan_prompts([prompt, "A red balloon moves right"], 1.5, settings(offline=True))
    assert isinstance(found, Planned)
    assert found.report.cached is True
    assert isinstance(missing, UserError)
    assert "has no plan" in missing.problem
    assert server.requests == []


def test_a_failed_plan_falls_back_or_is_an_error(
    server: ChatServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    server.behave = lambda request, number: Reply({"error": {"message": "no"}}, 500)
    fallen = plan_prompt("Two dogs", 1.5, settings(retries=0))
    assert fallen.layout.source == "rules"
    assert "500" in fallen.report.fallback
    assert "planned by the rules instead" in caplog.text
    with pytest.raises(FailedPlan) as error:
        plan_prompt("Two dogs", 1.5, settings(retries=0, strict=True))
    assert error.value.report.requests == 1
    with pytest.raises(FailedPlan, match="The rules planner failed too"):
        plan_prompt("in a forest", 1.5, settings(retries=0))


def test_settings_that_cannot_work_stop_all_prompts(server: ChatServer, settings: Settings) -> None:
    server.behave = lambda request, number: Reply({"error": {"message": "bad key"}}, 401)
    with pytest.raises(SetupError, match="does not accept the key"):
        plan_prompts(["Two dogs", "A cat"], 1.5, settings(retries=0))


def test_inside_a_running_loop(server: ChatServer, settings: Settings) -> None:
    async def notebook() -> Planned:
        return plan_prompt("A red balloon", 1.5, settings(stages=("one-call",)))

    assert asyncio.run(notebook()).layout.source == "llm"
