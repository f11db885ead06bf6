"""Prompts to layouts, with the planner that the settings name; failures of the LLM planner fall back to the rules."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ttom.config import PlannerConfig
from ttom.errors import UserError
from ttom.layout.limits import check_prompt
from ttom.layout.model import Layout
from ttom.layout.report import PlannerReport
from ttom.layout.rules import planner as rules

if TYPE_CHECKING:
    from ttom.layout.llm.chat import Chat, PlanFailure
    from ttom.layout.llm.planner import LLMPlanner

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    """A layout, whose prompt is the text to make the video from, and what the report says about planning it."""

    layout: Layout
    report: PlannerReport


class FailedPlan(UserError):
    """A prompt that the language model could not plan, and that the rules could not, or were not allowed to, plan.

    Attributes:
        report: As in `Planned`: what the failed attempt cost.
    """

    report: PlannerReport


Outcome = Planned | UserError


def plan_prompt(prompt: str, aspect: float, config: PlannerConfig) -> Planned:
    """Plan one prompt. Raises UserError if it cannot be planned."""
    (outcome,) = plan_prompts([prompt], aspect, config)
    if isinstance(outcome, UserError):
        raise outcome
    return outcome


def plan_prompts(
    prompts: Sequence[str], aspect: float, config: PlannerConfig, done: Callable[[], None] = lambda: None
) -> list[Outcome]:
    """Plan many prompts, with the LLM planner several at a time.

    Args:
        prompts: The prompts.
        aspect: Picture width / height.
        config: Which planner, and its settings.
        done: Called after each prompt, once where a prompt occurs twice.

    Returns:
        For each prompt its plan, or the UserError that says why there is none.

    Raises:
        SetupError: no prompt can be planned with these settings in this environment (no key, no such endpoint ...).
    """
    if config.kind == "rules":
        outcomes: dict[str, Outcome] = {}
        for prompt in dict.fromkeys(prompts):
            outcomes[prompt] = _by_rules(prompt, aspect, config)
            done()
        return [outcomes[prompt] for prompt in prompts]
    return _run(_plan_all(prompts, aspect, config, done))


def _by_rules(prompt: str, aspect: float, config: PlannerConfig) -> Outcome:
    try:
        check_prompt(prompt)
        layout = rules.plan(prompt, aspect=aspect, seed=config.seed)
        return Planned(layout, PlannerReport(planner="rules", notes=layout.notes))
    except UserError as error:
        return error


def _run(work: Coroutine[Any, Any, list[Outcome]]) -> list[Outcome]:
    """Run to completion, also inside a running event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _plan_all(
    prompts: Sequence[str], aspect: float, config: PlannerConfig, done: Callable[[], None]
) -> list[Outcome]:
    from ttom.layout.llm.chat import Chat
    from ttom.layout.llm.planner import LLMPlanner

    planner = LLMPlanner(config, aspect)
    outcomes: dict[str, Outcome] = {}
    missing: list[str] = []
    for prompt in dict.fromkeys(prompts):
        outcome = _without_network(prompt, planner, config)
        if outcome is None:
            missing.append(prompt)
        else:
            outcomes[prompt] = outcome
            done()
    if missing:
        gate = asyncio.Semaphore(config.concurrency)

        async def plan(prompt: str, chat: Chat) -> None:
            async with gate:
                outcomes[prompt] = await _plan_one(prompt, aspect, planner, chat)
            done()

        async with Chat(config) as chat:
            tasks = [asyncio.create_task(plan(prompt, chat)) for prompt in missing]
            try:
                await asyncio.gather(*tasks)
            finally:  # after a SetupError or Ctrl-C the others need not continue
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    return [outcomes[prompt] for prompt in prompts]


def _without_network(prompt: str, planner: LLMPlanner, config: PlannerConfig) -> Outcome | None:
    """The cached plan or an error; None if the model must be asked."""
    try:
        check_prompt(prompt)
    except UserError as error:
        return error
    found = None if config.refresh and not config.offline else planner.cached(prompt)
    if found is not None:
        return Planned(found.layout, found.report)
    if not config.offline:
        return None
    return UserError(
        f"the cache {planner.cache.folder} has no plan of the prompt {_shortened(prompt)}",
        expected="with `planner.offline`, a plan made before with the same model, stages and settings",
        remedy="plan it first without `planner.offline`, or `planner.kind=rules`",
    )


async def _plan_one(prompt: str, aspect: float, planner: LLMPlanner, chat: Chat) -> Outcome:
    from ttom.layout.llm.chat import PlanFailure

    try:
        made = await planner.plan(prompt, chat)
        if made.report.cache_error is not None:
            _log.warning("warning: the plan could not be kept in %s: %s", planner.cache.folder, made.report.cache_error)
        return Planned(made.layout, made.report)
    except PlanFailure as failure:
        return _fall_back(prompt, aspect, planner.config, failure)


def _fall_back(prompt: str, aspect: float, config: PlannerConfig, failure: PlanFailure) -> Outcome:
    """The rules' plan with a warning; an error if the settings are strict or the rules fail too."""
    reason = f"the LLM planner ({config.model}) failed for the prompt {_shortened(prompt)}: {failure}"
    if config.strict:
        remedy = "another model, or leave out `planner.strict`"
        error = FailedPlan(reason, expected="with `planner.strict`, a plan by the language model", remedy=remedy)
    else:
        outcome = _by_rules(prompt, aspect, config)
        if isinstance(outcome, Planned):
            _log.warning("warning: %s; planned by the rules instead", reason)
            fallen = {"video_text": "original", "fallback": str(failure)}
            return Planned(outcome.layout, failure.report.model_copy(update=fallen))
        error = FailedPlan(f"{reason}\nThe rules planner failed too: {outcome.problem}", remedy=outcome.remedy)
    error.report = failure.report
    return error


def _shortened(prompt: str) -> str:
    return repr(prompt if len(prompt) <= 60 else prompt[:57] + "...")
