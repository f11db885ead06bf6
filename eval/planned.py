"""A suite's cases made ready for a run: their layouts, planned once and ahead, and what identifies each video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eval.types import Case
from ttom.config import Settings
from ttom.errors import SetupError, UserError
from ttom.identity import layout_digest
from ttom.layout.model import Layout
from ttom.layout.planning import Planned, plan_prompts
from ttom.layout.report import PlannerReport


@dataclass(frozen=True)
class PlannedCase:
    """A case with its layout.

    Attributes:
        prompt: The text of the video: the case's, or what the planner enriched it to.
        layout: The case's own or the planner's; None if the planner found none.
        planner: What a report says of the planning; None for a layout of the case's own.
        problem: Why there is no layout.
    """

    case: Case
    prompt: str
    layout: Layout | None
    planner: PlannerReport | None = None
    problem: str | None = None

    def identity(self, run: str) -> str:
        """Hash of the run's identity and all that makes this case: resume goes by it."""
        layout = layout_digest(self.layout) if self.layout is not None else None
        return digest([run, self.case.id, self.prompt, self.case.seed, layout])


def plan_cases(cases: Sequence[Case], settings: Settings, done: Callable[[], None] = lambda: None) -> list[PlannedCase]:
    """Plan the cases that bring no layout, with the LLM planner several at a time.

    Raises:
        SetupError: The planner's settings cannot work for any prompt.
    """
    open_cases = [case for case in cases if case.layout is None]
    aspect = settings.sampler.aspect
    outcomes = iter(plan_prompts([case.prompt for case in open_cases], aspect, settings.planner, done))
    return [_planned(case, None if case.layout is not None else next(outcomes)) for case in cases]


def digest(value: Any) -> str:
    """16 hex digits of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _planned(case: Case, outcome: Planned | UserError | None) -> PlannedCase:
    if outcome is None:
        return PlannedCase(case, case.prompt, case.layout)
    if isinstance(outcome, SetupError):
        raise outcome
    if isinstance(outcome, UserError):
        return PlannedCase(case, case.prompt, None, problem=str(outcome))
    enriched = outcome.report.video_text == "enriched"
    prompt = outcome.layout.prompt if enriched else case.prompt
    return PlannedCase(case, prompt, outcome.layout, outcome.report)
