"""The typed report: written, read again, and refused where it is not one; what a case's identity depends on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ttom.config import MemoryConfig, RuntimeConfig, Settings
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan
from ttom.prepare import Request
from ttom.presets import emojiworld, paper
from ttom.provenance import describe_settings, environment
from ttom.result import (
    MemoryMatch,
    MemoryReport,
    Provenance,
    Report,
    Seconds,
    TTOReport,
    identity,
    report_schema,
    settings_hash,
)


@pytest.fixture
def report() -> Report:
    settings = emojiworld()
    origin = environment("cpu") | {
        "dtype": "float32",
        "runtime": RuntimeConfig(),
        "settings": describe_settings(settings, "paper", paper()),
    }
    return Report(
        prompt="A cat", video_prompt="A cat", model="m", model_digest=None, method="ttom", seed=1, identity="0",
        layout_source="rules", layout_digest="0", planner=None, sampler=settings.sampler,
        tto=TTOReport.of((5,), [[0.5, 0.25], [0.125]]),
        memory=MemoryReport(mode="read", key="k", hit=True, used="init", similarity=0.98,
                            matches=(MemoryMatch(id=1, key="k", similarity=0.98),)),
        seconds=Seconds(total=1.5), peak_bytes=None, settings_hash=settings_hash(settings),
        provenance=Provenance.model_validate(origin),
    )  # fmt: skip


def test_a_report_survives_the_disk(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    again = Report.load(tmp_path / "report.json")
    assert again == report
    assert again.provenance.settings.resolved == emojiworld()
    assert again.tto is not None and (again.tto.loss_first, again.tto.loss_last) == (0.5, 0.125)
    data = json.loads((tmp_path / "report.json").read_text())
    assert set(data) == set(report_schema()["properties"])
    assert data["version"] == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": 2}, "has version 2"),
        ({"version": None}, "has version None"),
        ({"seed": "one"}, "seed"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_is_no_report_is_refused(report: Report, tmp_path: Path, change: dict, problem: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report.model_dump(mode="json") | change))
    with pytest.raises(UserError, match=problem):
        Report.load(path)


def test_broken_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(UserError, match="there is no report"):
        Report.load(path)
    for text in ("", "{", "[]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(UserError, match=r"report\.json"):
            Report.load(path)


def test_nothing_optimized_is_no_tto_report() -> None:
    assert TTOReport.of((5,), []) is None


def changed(settings: Settings, group: str, **fields: object) -> Settings:
    return replace(settings, **{group: replace(getattr(settings, group), **fields)})


def test_the_hash_of_settings_depends_on_what_decides_the_video() -> None:
    base = emojiworld()
    same = [
        changed(base, "planner", timeout=5.0),
        changed(base, "planner", cache_dir="elsewhere"),
        changed(base, "memory", top_k=3),  # no memory in use
    ]
    assert {settings_hash(settings) for settings in [base, *same]} == {settings_hash(base)}
    with_memory = replace(base, memory=MemoryConfig(path="a"))
    assert settings_hash(with_memory) == settings_hash(replace(base, memory=MemoryConfig(path="b")))
    others = [
        with_memory,
        changed(with_memory, "memory", top_k=3),
        changed(base, "tto", lr=1.0),
        changed(base, "sampler", steps=26),
        changed(base, "planner", seed=1),
    ]
    assert len({settings_hash(settings) for settings in [base, *others]}) == 6


def test_identity_depends_on_the_content_of_a_given_layout() -> None:
    layout = plan("A cat above a dog", aspect=1.5, seed=0)
    moved = plan("A cat below a dog", aspect=1.5, seed=0)
    noted = layout.model_copy(update={"notes": ("edited by hand",), "source": "file"})

    def of(layout: Layout | None, seed: int = 0) -> str:
        return identity(Request("A cat above a dog", seed, "ttom", layout, emojiworld()), "digest")

    assert of(layout) == of(noted)
    assert len({of(layout), of(moved), of(None), of(layout, seed=1)}) == 4
