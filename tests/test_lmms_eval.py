"""TTOM as a model of lmms-eval: names, seeds and answers as its VBench tasks need them.

lmms-eval wants an older PyAV and is not installed with the tests. Its base class and its manifest are stood in for by
what release 0.7.3 has of them; where it is installed, the real ones are used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ttom.errors import SetupError, UserError
from ttom.report import Report

INSTALLED = importlib.util.find_spec("lmms_eval") is not None
OPTIONS = {
    "device": "cpu", "preset": "emojiworld", "sampler.frames": 5, "sampler.height": 16, "sampler.width": 32,
    "sampler.steps": 2, "sampler.max_sequence_length": 24, "tto.blocks": "[1,2]", "tto.guided_steps": 1,
    "tto.iterations": 1, "adapter.rank": 2,
}  # fmt: skip
"""As lmms-eval reads them from --model_args: numbers are numbers, lists are text."""
PROMPT = "A dog moves up"


class Base(ABC):
    """`lmms_eval.api.model.lmms`, as far as models and the evaluator use it."""

    is_simple = True

    def __init__(self) -> None:
        self._rank, self._world_size, self.task_dict = 0, 1, {}

    @abstractmethod
    def generate_until(self, requests: Any) -> Any: ...

    @abstractmethod
    def generate_until_multi_round(self, requests: Any) -> Any: ...

    @abstractmethod
    def loglikelihood(self, requests: Any) -> Any: ...

    def clean(self) -> None:
        self.task_dict.clear()


@dataclass(frozen=True)
class Manifest:
    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """An Instance: args are text, generation settings, a function for pictures, row, task and split."""

    args: tuple[Any, ...]


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    if not INSTALLED:
        names = (
            "lmms_eval",
            "lmms_eval.api",
            "lmms_eval.api.model",
            "lmms_eval.models",
            "lmms_eval.models.registry_v2",
        )
        modules = {name: ModuleType(name) for name in names}
        modules["lmms_eval.api.model"].__dict__["lmms"] = Base
        modules["lmms_eval.models.registry_v2"].__dict__["ModelManifest"] = Manifest
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
    yield importlib.import_module("ttom.lmms_eval")
    if not INSTALLED:
        sys.modules.pop("ttom.lmms_eval")


def make(adapter: ModuleType, folder: Path, out: Path, **options: Any) -> Any:
    return adapter.TTOMVideo(pretrained=str(folder), output_dir=str(out), **OPTIONS | options)


def ask(model: Any, *rows: dict[str, Any], task: str = "vbench") -> list[str]:
    model.task_dict = {task: {"test": list(rows)}}
    settings = {"max_new_tokens": 1, "temperature": 0}
    requests = [Request((row["prompt"], settings, None, number, task, "test")) for number, row in enumerate(rows)]
    return model.generate_until(requests)


def row(prompt: str = PROMPT, sample: int = 0, suite: str = "vbench", dimension: str = "color") -> dict[str, Any]:
    seed = 7 + sample
    return {"suite": suite, "prompt": prompt, "sample_index": sample, "seed": seed, "official_dimensions": [dimension]}


def test_the_entry_point_names_the_adapter(adapter: ModuleType) -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, function = project["entry-points"]["lmms_eval.models"]["ttom"].partition(":")
    found = getattr(importlib.import_module(module), function)()
    assert (found.model_id, found.simple_class_path) == ("ttom", f"{adapter.__name__}.TTOMVideo")
    assert adapter.TTOMVideo.is_simple and issubclass(adapter.TTOMVideo, adapter.lmms)


def test_videos_have_the_names_that_the_scorer_reads_and_the_seeds_of_their_rows(
    adapter: ModuleType, tiny_folder: Path, tmp_path: Path
) -> None:
    model = make(adapter, tiny_folder, tmp_path)
    answers = ask(model, row(), row(sample=1), row("slowly and beautifully"))
    videos = [tmp_path / "vbench" / f"{PROMPT}-{sample}.mp4" for sample in (0, 1)]
    assert answers[:2] == [str(video) for video in videos]
    assert answers[2].startswith("ERROR") and "object" in answers[2]  # what the task counts as not generated
    assert sorted((tmp_path / "vbench").iterdir()) == videos
    reports = [Report.load(tmp_path / "runs" / "vbench" / video.stem / "report.json") for video in videos]
    assert [report.seed for report in reports] == [7, 8]
    assert (reports[0].method, reports[0].sampler.steps, reports[0].tto is not None) == ("ttom", 2, True)
    assert model.device == "cpu" and (model._rank, model._world_size) == (0, 1)


def test_a_second_call_keeps_what_is_there_and_makes_anew_what_is_damaged(
    adapter: ModuleType, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(make(adapter, tiny_folder, tmp_path, method="base"), row(), row(sample=1))
    whole = [Path(path).read_bytes() for path in first]
    Path(first[1]).write_bytes(b"")
    times = [Path(path).stat().st_mtime_ns for path in first]
    assert ask(make(adapter, tiny_folder, tmp_path, method="base"), row(), row(sample=1)) == first
    assert [Path(path).read_bytes() for path in first] == whole
    assert [Path(path).stat().st_mtime_ns == time for path, time in zip(first, times, strict=True)] == [True, False]

    with pytest.raises(SetupError, match="other settings"):
        ask(make(adapter, tiny_folder, tmp_path, method="base", **{"sampler.steps": 3}), row())
    (tmp_path / "vbench" / "A cat moves up-0.mp4").write_bytes(b"somebody's")
    with pytest.raises(SetupError, match="no report"):
        ask(make(adapter, tiny_folder, tmp_path, method="base"), row("A cat moves up"))
    assert (tmp_path / "vbench" / "A cat moves up-0.mp4").read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        ("vbench_color", row(), f"vbench/{PROMPT}-0.mp4"),
        ("vbench2", row("x" * 200, 3, "vbench2", "Composition"), f"vbench2/{'x' * 180}-3.mp4"),
        ("vbench2_composition", row(PROMPT, 1, "vbench2", "Composition"), f"vbench2/Composition/{PROMPT}-1.mp4"),
        ("my/task", {"prompt": PROMPT}, "my_task/4.mp4"),
    ],
)
def test_names(adapter: ModuleType, task: str, given: dict[str, Any], expected: str) -> None:
    assert str(adapter.video_name(given["prompt"], task, 4, given)) == expected


@pytest.mark.parametrize(
    "given",
    [
        row("a/b"),
        row("x" * 252),
        row(".x"),
        row(suite="vbench2", dimension="../x"),
        row(suite="vbench2", dimension=".."),
    ],
)
def test_names_that_lead_elsewhere_are_refused(adapter: ModuleType, given: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is not a file name"):
        adapter.video_name(given["prompt"], "vbench2_x", 0, given)


@pytest.mark.parametrize("method", ["loglikelihood", "generate_until_multi_round"])
def test_tasks_of_another_kind_are_refused(adapter: ModuleType, tiny_folder: Path, tmp_path: Path, method: str) -> None:
    with pytest.raises(SetupError, match="only makes videos") as refused:
        getattr(make(adapter, tiny_folder, tmp_path), method)([])
    assert refused.value.remedy == "a task such as vbench or vbench2"


@pytest.mark.parametrize("name", ["steps", "sampler.stepz", "sampler.size", "nothing.steps", "__class__.x"])
def test_unknown_settings_are_refused(adapter: ModuleType, tiny_folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="there is no setting"):
        make(adapter, tiny_folder, tmp_path, **{name: 3})


def test_settings_that_cannot_work_are_refused(adapter: ModuleType, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sampler.steps"):
        make(adapter, tiny_folder, tmp_path, **{"sampler.steps": 0})


@pytest.mark.skipif(not INSTALLED, reason="lmms-eval is not installed")
def test_lmms_eval_finds_the_model() -> None:
    from lmms_eval.models import get_model

    assert get_model("ttom").__name__ == "TTOMVideo"
