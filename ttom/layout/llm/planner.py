"""The LLM planner: a language model is asked in stages, and code checks every answer (section 3.1, appendix C).

Prompt -> (enrich) -> metadata -> check-metadata -> layout -> check-layout, or one call for the last four. The texts are
files under prompts/, of our own wording. What the user wrote enters as JSON strings of the user message only, so it can
end neither its own place nor the message.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ttom.config import PlannerConfig
from ttom.errors import cut_short
from ttom.layout.drafts import Checked, DraftObject, Limits, check_draft, check_objects
from ttom.layout.limits import text_problem
from ttom.layout.llm.answers import (
    CANVAS_HEIGHT,
    AnswerError,
    EnrichAnswer,
    LayoutAnswer,
    MetadataAnswer,
    OneCallAnswer,
    read_answer,
    without_thoughts,
)
from ttom.layout.llm.cache import PlanCache
from ttom.layout.llm.chat import Chat, Message, PlanFailure, Usage
from ttom.layout.model import Layout
from ttom.layout.report import PlannerReport

PROMPTS = "v1"
"""Folder of the stage texts; a change of meaning gets a new one. Reports and the cache name it."""
_MAX_ENRICHED = 3_000
_MAX_SENT_BACK = 50_000  # characters of a wrong answer that are sent back to the model
_MAX_SILENCES = 10  # time limit of one plan, in timeouts of a request: 10 minutes by default
A = TypeVar("A", bound=BaseModel)


@cache
def stage_text(stage: str) -> str:
    """The system message of a stage: its own text and the text common to all stages."""
    folder = Path(__file__).with_name("prompts") / PROMPTS
    return "\n".join((folder / f"{name}.md").read_text(encoding="utf-8") for name in (stage, "common"))


def data_message(data: dict[str, Any]) -> Message:
    """A user message that holds nothing but this data.

    JSON keeps the user's quotes and line breaks inside their string. "<" is escaped too, because some servers read
    "<|...|>" in any text as the end of the message.
    """
    return {"role": "user", "content": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")}


@dataclass
class _Run:
    """The state of one prompt on its way through the stages."""

    prompt: str
    chat: Chat
    usage: Usage = field(default_factory=Usage)
    repairs: int = 0
    enriched: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LLMPlan:
    """A layout and what the report says about planning it."""

    layout: Layout
    report: PlannerReport


class LLMPlanner:
    """Plans single prompts; see ttom/layout/planning.py for files of prompts and the fallback to the rules planner.

    Args:
        config: The planner's settings.
        aspect: Picture width / height; the model's canvas has the same proportions, so that boxes need no stretching.
    """

    def __init__(self, config: PlannerConfig, aspect: float) -> None:
        self.config = config
        self.canvas = (max(1, round(CANVAS_HEIGHT * aspect)), CANVAS_HEIGHT)
        self.limits = Limits(config.min_size, config.max_speed)
        self.cache = PlanCache(config.cache_dir)

    # -- cache ----------------------------------------------------------------------------------------------------

    def cache_key(self, prompt: str) -> str:
        """Hash of all that decides the plan. The address is not part of it: the same model may move."""
        config = self.config
        texts = {name: hashlib.sha256(stage_text(name).encode()).hexdigest() for name in config.stages}
        names = ("model", "temperature", "video_text", "min_size", "max_speed")
        settings = {name: getattr(config, name) for name in names}
        return PlanCache.key({"prompt": prompt, "stages": texts, "canvas": self.canvas, "settings": settings})

    def cached(self, prompt: str) -> LLMPlan | None:
        """The plan that the cache holds; its report says that nothing was spent now."""
        entry = self.cache.get(self.cache_key(prompt))
        if entry is None:
            return None
        try:
            layout = Layout.model_validate(entry["layout"])
            spent = {"requests": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "seconds": 0.0}
            return LLMPlan(layout, PlannerReport.model_validate({**entry["report"], **spent, "cached": True}))
        except (KeyError, TypeError, ValidationError):
            return None

    # -- stages ---------------------------------------------------------------------------------------------------

    async def plan(self, prompt: str, chat: Chat) -> LLMPlan:
        """Ask through the stages and keep the plan in the cache.

        Raises:
            PlanFailure: the model's plan is still wrong after the repair rounds, or the server failed.
            SetupError: settings or environment that cannot work for any prompt.
        """
        start, run = time.perf_counter(), _Run(prompt, chat)
        limit = _MAX_SILENCES * self.config.timeout
        try:
            try:
                # The client's own timeout restarts with every byte, so a server could trickle bytes forever.
                async with asyncio.timeout(limit):
                    checked = await self._stages(run)
            except TimeoutError:
                raise PlanFailure(f"the plan took more than {limit:g} s, all requests and waits included") from None
        except PlanFailure as failure:
            failure.report = self._report(run, time.perf_counter() - start)  # what the failed attempt cost
            raise
        assert checked.layout is not None
        notes = tuple(run.notes) + checked.changes
        layout = checked.layout.model_copy(update={"notes": notes})
        report = self._report(run, time.perf_counter() - start)
        made = {"changes": notes, "boxes": checked.boxes, "boxes_out_of_bounds": checked.out_of_bounds}
        report = report.model_copy(update=made)
        entry = {"layout": layout.model_dump(mode="json"), "report": report.as_record()}
        try:
            self.cache.put(self.cache_key(prompt), entry)
        except OSError as error:  # the plan is paid for: go on with it
            report = report.model_copy(update={"cache_error": error.strerror or str(error)})
        return LLMPlan(layout, report)

    async def _stages(self, run: _Run) -> Checked:
        config = self.config
        if "enrich" in config.stages:
            answer = await self._ask(run, "enrich", {"prompt": run.prompt}, EnrichAnswer, _enrich_problems)
            run.enriched = " ".join(answer.prompt.split())
        text = run.prompt
        if run.enriched is not None and config.video_text == "enriched":
            text = run.enriched
        data: dict[str, Any] = {"prompt": text}
        if run.enriched is not None:
            # The model reads both: one names the objects, the other describes their motion or looks.
            data["description"] = run.enriched if text == run.prompt else run.prompt
        width, height = self.canvas
        scene = {**data, "canvas": {"width": width, "height": height}}
        if "one-call" in config.stages:

            def problems(answer: OneCallAnswer) -> list[str]:
                return [*self._one_call(run, answer, text).problems]

            return self._one_call(run, await self._ask(run, "one-call", scene, OneCallAnswer, problems), text)
        objects = await self._objects(run, data, text)
        return await self._layout(run, {**scene, "objects": [vars(item) for item in objects]}, objects, text)

    def _one_call(self, run: _Run, answer: OneCallAnswer, text: str) -> Checked:
        if not answer.objects:
            raise PlanFailure("the model found no object in the prompt")
        return self._checked(run, answer, tuple(item.draft() for item in answer.objects), text)

    def _checked(self, run: _Run, answer: LayoutAnswer, objects: tuple[DraftObject, ...], text: str) -> Checked:
        # Counts are the user's: an enriched text may speak of two windows that need no box.
        return check_draft(answer.draft(objects, self.canvas), text, self.limits, source="llm", counted=run.prompt)

    async def _objects(self, run: _Run, data: dict[str, Any], text: str) -> tuple[DraftObject, ...]:
        """Stages metadata and check-metadata: the objects, with phrases of the text."""

        def problems(answer: MetadataAnswer) -> list[str]:
            if not answer.objects:  # nothing to repair: most likely there is none
                raise PlanFailure("the model found no object in the prompt")
            return check_objects(tuple(item.draft() for item in answer.objects), text, run.prompt)[1]

        answer = await self._ask(run, "metadata", data, MetadataAnswer, problems)
        if "check-metadata" in self.config.stages:
            listed = {"prompt": text, **answer.model_dump()}
            answer = await self._second_look(run, "check-metadata", listed, answer, problems)
        objects, _, changes = check_objects(tuple(item.draft() for item in answer.objects), text, run.prompt)
        run.notes += changes
        return tuple(objects)

    async def _layout(self, run: _Run, data: dict[str, Any], objects: tuple[DraftObject, ...], text: str) -> Checked:
        """Stages layout and check-layout."""

        def problems(answer: LayoutAnswer) -> list[str]:
            return list(self._checked(run, answer, objects, text).problems)

        answer = await self._ask(run, "layout", data, LayoutAnswer, problems)
        if "check-layout" in self.config.stages:
            planned = {**data, "layout": answer.model_dump()}
            answer = await self._second_look(run, "check-layout", planned, answer, problems)
        return self._checked(run, answer, objects, text)

    async def _second_look(
        self, run: _Run, stage: str, data: dict[str, Any], answer: A, problems: Callable[[A], list[str]]
    ) -> A:
        """The model's correction of its answer; the answer itself, which has passed the checks, where that fails."""
        try:
            return await self._ask(run, stage, data, type(answer), problems, rounds=0)
        except PlanFailure as failure:
            run.notes.append(f"{stage} left out: {failure}")
            return answer

    async def _ask(
        self,
        run: _Run,
        stage: str,
        data: dict[str, Any],
        model: type[A],
        problems: Callable[[A], list[str]],
        rounds: int | None = None,
    ) -> A:
        """An answer without problems. The model is told the problems of a wrong answer, up to `rounds` times."""
        messages: list[Message] = [{"role": "system", "content": stage_text(stage)}, data_message(data)]
        found: list[str] = []
        for repair in range((self.config.repair_rounds if rounds is None else rounds) + 1):
            run.repairs += repair > 0
            text = await run.chat.ask(messages, model, run.usage)
            try:
                answer = read_answer(text, model)
                found = problems(answer)
            except AnswerError as error:
                found = [str(error)]
            else:
                if not found:
                    return answer
            shown = cut_short(without_thoughts(text), _MAX_SENT_BACK)
            messages += [{"role": "assistant", "content": shown}, data_message({"problems": found})]
        raise PlanFailure(run.chat.redact(f"stage {stage}: {'; '.join(found)}"))

    def _report(self, run: _Run, seconds: float) -> PlannerReport:
        return PlannerReport(
            planner="llm",
            model=self.config.model,
            stages=self.config.stages,
            stage_texts=PROMPTS,
            enriched_prompt=run.enriched,
            video_text=self.config.video_text if run.enriched is not None else "original",
            answer_form=run.chat.mode_name,
            requests=run.usage.requests,
            repairs=run.repairs,
            input_tokens=run.usage.input_tokens,
            output_tokens=run.usage.output_tokens,
            cost_usd=run.usage.cost(self.config),
            seconds=round(seconds, 3),
            cached=False,
            fallback=None,
        )


def _enrich_problems(answer: EnrichAnswer) -> list[str]:
    if not answer.prompt.strip():
        return ["the prompt is empty"]
    if len(answer.prompt) > _MAX_ENRICHED:
        return [f"the prompt has {len(answer.prompt)} characters; at most {_MAX_ENRICHED} are wanted"]
    problem = text_problem(answer.prompt)
    return [f"the prompt {problem}"] if problem else []
