"""Cases with their layouts, and what identifies a video."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eval import planned
from eval.planned import plan_cases
from tests.eval.cases import case
from ttom.config import PlannerConfig, Settings
from ttom.errors import SetupError, UserError
from ttom.layout.planning import Planned
from ttom.layout.report import PlannerReport
from ttom.layout.rules.planner import plan

LAYOUT = plan("A cat moves left", aspect=1.5)


def test_layouts_are_planned_or_the_cases_own() -> None:
    own = LAYOUT.model_copy(update={"source": "file"})
    cases = [case(1), case(2, prompt="A dog moves left"), case(3, prompt="slowly"), case(4, layout=own)]
    done: list[None] = []
    made = plan_cases(cases, Settings(), lambda: done.append(None))
    assert [item.case for item in made] == cases and len(done) == 3
    assert made[1].layout is not None and made[1].layout.groups()[0].noun == "dog"
    assert made[1].planner is not None and made[1].planner.planner == "rules"
    assert made[2].layout is None and "no object" in str(made[2].problem)
    assert made[3].layout is own and made[3].planner is None


def test_the_aspect_decides_a_layout() -> None:
    wide, tall = Settings(), Settings()
    tall = replace(tall, sampler=replace(tall.sampler, width=480, height=832))
    assert plan_cases([case(1)], wide)[0].layout != plan_cases([case(1)], tall)[0].layout


def test_identity_changes_with_all_that_makes_a_video() -> None:
    (first,) = plan_cases([case(1, prompt="A cat moves left")], Settings())
    others = [
        replace(first, case=case(2, prompt="A cat moves left", seed=1)),
        replace(first, case=first.case.model_copy(update={"seed": 9})),
        replace(first, prompt="A cat moves to the left"),
        replace(first, layout=plan("A cat moves right", aspect=1.5)),
        replace(first, layout=None),
    ]
    assert len({first.identity("run"), first.identity("other"), *(item.identity("run") for item in others)}) == 7
    notes = LAYOUT.model_copy(update={"notes": ("by hand",), "source": "file"})
    assert replace(first, layout=notes).identity("run") == replace(first, layout=LAYOUT).identity("run")
    facts = first.case.model_copy(update={"facts": {"nouns": ["cat"]}})
    assert replace(first, case=facts).identity("run") == first.identity("run"), (
        "facts judge a video, they do not make it"
    )


def test_an_enriched_prompt_is_the_text_of_the_video(monkeypatch: pytest.MonkeyPatch) -> None:
    rich = LAYOUT.model_copy(update={"prompt": "A small cat moves left"})

    def plan_prompts(*_: object) -> list[Planned]:
        return [Planned(rich, PlannerReport(planner="llm", video_text=text)) for text in ("enriched", "original")]

    monkeypatch.setattr(planned, "plan_prompts", plan_prompts)
    made = plan_cases([case(1), case(2)], replace(Settings(), planner=PlannerConfig(kind="llm")))
    assert [item.prompt for item in made] == ["A small cat moves left", "A cat number 2"]


def test_a_planner_that_cannot_work_at_all_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "plan_prompts", lambda *_: [UserError("no object"), SetupError("no key")])
    with pytest.raises(SetupError, match="no key"):
        plan_cases([case(1), case(2)], Settings())
