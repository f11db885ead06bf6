"""What the page is told of the methods, and which values it may send back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ttom.checkpoints import EMBEDDED
from ttom.config import MemoryConfig, PlannerConfig, Settings
from ttom.errors import UserError
from ttom.guidance.registry import METHODS
from ttom.presets import PRESETS, find_preset, preset_for
from ttom.studio import describe

EMOJI = find_preset("emojiworld")()
WITH_MEMORY = replace(EMOJI, memory=MemoryConfig(path="somewhere"))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("memory", [MemoryConfig(), MemoryConfig(path="somewhere")])
def test_every_setting_has_words_a_type_and_a_default_that_is_accepted(name: str, memory: MemoryConfig) -> None:
    settings = replace(find_preset(name)(), memory=memory)
    for method in describe.methods(settings, [name]):
        assert len(method["help"]) > 20
        given: dict[str, Any] = {}
        for about in method["settings"]:
            assert len(about["help"].split()) > 1, about
            assert about["type"] in ("int", "float", "bool", "choice", "text")
            assert (about["type"] == "choice") == bool(about["choices"])
            given[about["name"]] = about["default"]
        assert describe.with_values(settings, method["name"], given) == settings


def test_memory_settings_are_shown_where_there_is_a_memory() -> None:
    assert "memory.threshold" in describe.settings_of("ttom", WITH_MEMORY)
    assert "memory.threshold" not in describe.settings_of("ttom", EMOJI)
    assert "memory.threshold" not in describe.settings_of("lvd", WITH_MEMORY)


def test_few_steps_are_no_mistake_of_methods_without_guided_steps() -> None:
    assert describe.with_values(EMOJI, "bias", {"sampler.steps": 3}).sampler.steps == 3
    with pytest.raises(UserError, match="guided_steps"):
        describe.with_values(EMOJI, "ttom", {"sampler.steps": 3})


def test_all_methods_are_offered_and_several_together_have_the_settings_of_both() -> None:
    assert [method["name"] for method in describe.methods(EMOJI, [])] == list(METHODS)
    assert {"lvd.scale", "bias.strength"} <= set(describe.settings_of("lvd+bias", EMOJI))


def test_values_reach_the_settings() -> None:
    found = describe.with_values(EMOJI, "ttom", {"tto.iterations": 2, "bias.strength": 5, "sampler.steps": 7})
    assert (found.tto.iterations, found.bias.strength, found.sampler.steps) == (2, 5.0, 7)
    assert describe.with_values(found, "ttom", {"bias.strength": None}).bias.strength is None


@pytest.mark.parametrize(
    "name, value",
    [
        ("sampler.steps", 0), ("sampler.steps", 100_000), ("sampler.steps", 2.5), ("sampler.steps", True),
        ("sampler.steps", "9"), ("sampler.steps", None), ("tto.lr", 0.0), ("tto.lr", "x"), ("tto.loss", "none"),
        ("tto.mask", 3), ("sampler.negative_prompt", 3), ("sampler.negative_prompt", "\x1b[2J"),
        ("memory.path", "/etc"), ("sampler.frames", 9),
        ("tto", 3), ("no.such", 1), ("", 1), ("lvd.scale", 1.0), ("tto.guided_steps", 26),
    ],
)  # fmt: skip
def test_other_values_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError):
        describe.with_values(EMOJI, "ttom", {name: value})


def test_presets_fit_the_model() -> None:
    for model in EMBEDDED:
        found = describe.presets_for(model)
        assert found[0] == preset_for(model) and "emojiworld-bias" in found and "paper" not in found
    assert describe.presets_for("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") == ["paper", "released"]


def test_a_language_model_is_offered_only_where_it_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert describe.planners(PlannerConfig()) == ["rules"]
    assert describe.planners(PlannerConfig(base_url="http://localhost:8000/v1")) == ["rules", "llm"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert describe.planners(PlannerConfig()) == ["rules", "llm"]


def test_docs_are_those_below_the_fields() -> None:
    docs = describe.docs_of(Settings.__module__, "Settings")
    assert docs == {}
    assert describe.docs_of("ttom.config.sampler", "SamplerConfig")["steps"] == "Denoising steps."
