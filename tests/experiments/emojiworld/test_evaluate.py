"""The evaluation: held-out prompts, measures on hand-made detections, summaries, and one row of the checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.emojiworld import evaluate, tune
from ttom.checkpoints import EMBEDDED
from ttom.emojiworld.captions import UNKNOWN_WORD
from ttom.emojiworld.detector import Detection
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.prompts import Prompt, prompts
from ttom.emojiworld.world import split_of
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan
from ttom.presets import emojiworld

CAT, DOG = INDEX["cat"], INDEX["dog"]


def combinations(prompt: Prompt) -> list[tuple]:
    shown: list[tuple] = [(NOUNS[noun].name, direction) for noun, direction in prompt.directions]
    shown += [(NOUNS[noun].name, count) for noun, count in prompt.counts]
    if prompt.relation:
        first, second, relation = prompt.relation
        shown.append((NOUNS[first].name, NOUNS[second].name, relation))
    return shown


@pytest.mark.parametrize("split", ["test", "tune"])
def test_prompts_show_only_combinations_of_their_split(split: str) -> None:
    chosen = prompts(split, 40)
    assert len({prompt.text for prompt in chosen}) == len({prompt.id for prompt in chosen}) == 120
    for prompt in chosen:
        assert combinations(prompt)
        assert {split_of(*combination) for combination in combinations(prompt)} == {split}
        assert UNKNOWN_WORD not in prompt.text


def test_prompts_are_the_same_every_time_and_a_longer_list_begins_with_the_shorter() -> None:
    short, long = prompts("test", 5), prompts("test", 8)
    assert short == prompts("test", 5)
    assert [p for p in long if int(p.id[-3:]) < 5] == short


def one_box_layout(noun: str = "cat", count: int = 1) -> Layout:
    boxes = [{"x0": 0.1 + 0.4 * i, "y0": 0.2, "x1": 0.4 + 0.4 * i, "y1": 0.6} for i in range(count)]
    objects = [
        {"id": f"{noun}-{i}", "phrase": noun, "noun": noun, "key_frames": [{"time": 0, "box": box}]}
        for i, box in enumerate(boxes)
    ]
    return Layout.model_validate({"version": 1, "prompt": noun, "objects": objects, "source": "file"})


def seen(noun: int, *boxes: tuple[float, float, float, float], frames: int = 3) -> list[list[Detection]]:
    return [[Detection(noun, 0.9, box) for box in boxes] for _ in range(frames)]


def test_scores_follow_the_facts() -> None:
    prompt = Prompt("count-000", "count", "Two cats", (CAT,), (), None, ((CAT, 2),))
    layout, video = one_box_layout(count=2), np.zeros((3, 40, 60, 3), np.uint8)
    right = evaluate.scores(prompt, layout, video, seen(CAT, (0.5, 0.2, 0.8, 0.6), (0.1, 0.2, 0.4, 0.6)))
    assert (right["count"], right["presence"]) == (1, 1)
    wrong = evaluate.scores(prompt, layout, video, seen(CAT, (0.5, 0.2, 0.8, 0.6)))
    assert (wrong["count"], wrong["presence"]) == (0, 1)
    assert "direction" not in right and "relation" not in right
    beside = Prompt("relation-000", "relation", "A cat left of a dog", (CAT, DOG), (), (CAT, DOG, "left"), ())
    frame = [Detection(CAT, 0.9, (0.1, 0.4, 0.3, 0.6)), Detection(DOG, 0.9, (0.6, 0.4, 0.8, 0.6))]
    assert evaluate.scores(beside, layout, video, [frame] * 3)["relation"] == 1
    moving = Prompt("motion-000", "motion", "A cat moves right", (CAT,), ((CAT, "right"),), None, ())
    path = [[Detection(CAT, 0.9, (x, 0.4, x + 0.2, 0.6))] for x in (0.1, 0.2, 0.3, 0.5, 0.6)]
    assert evaluate.scores(moving, layout, np.zeros((5, 40, 60, 3), np.uint8), path)["direction"] == 1
    assert evaluate.scores(moving, layout, np.zeros((5, 40, 60, 3), np.uint8), path[::-1])["direction"] == 0


def test_summary_pairs_by_prompt_and_counts_refusals() -> None:
    rows = [
        {"id": f"count-{i:03d}", "variant": variant, "count": value, "seconds": 1.0}
        for variant, values in {"base": (0, 0, 1, 1), "ttom": (0, 1, 1, 1)}.items()
        for i, value in enumerate(values)
    ]
    rows.append({"id": "count-009", "variant": "ttom", "refused": "no object"})
    summary = evaluate.summarise(rows)
    assert summary["base"]["count"]["mean"] == 0.5 and summary["ttom"]["count"]["n"] == 4
    assert summary["ttom"]["refused"] == 1 and summary["base"]["refused"] == 0
    difference = summary["ttom"]["count"]["difference"]
    assert difference["mean"] == 0.25 and difference["relative"] == 0.5
    low, high = difference["interval"]
    assert low == 0 and 0.5 <= high <= 1


def test_tuning_changes_one_setting_at_a_time() -> None:
    settings = emojiworld()
    made = tune.variants(settings, ["tto.lr", "adapter.rank"])
    assert list(made)[:2] == ["base", "preset"] and made["preset"] == {}
    for changes in list(made.values())[2:]:
        changed = evaluate.change(settings, changes)
        assert changed != settings
        assert changed.adapter.alpha / changed.adapter.rank == settings.adapter.alpha / settings.adapter.rank
    assert f"tto.lr={settings.tto.lr}" not in made


def test_best_variant_keeps_presence_direction_and_relation() -> None:
    def cell(miou: float, presence: float = 0.9, direction: float = 0.9) -> dict:
        found = {"presence": presence, "direction": direction, "relation": 1.0, "layout_miou": miou}
        return {name: {"mean": value} for name, value in found.items()}

    summary = {
        "base": cell(0.1),
        "preset": cell(0.3),
        "loud": cell(0.8, presence=0.5),
        "lost": cell(0.7, direction=0.8),
    }
    assert tune.best(summary) == "preset"
    assert tune.best({**summary, "one wrong": cell(0.6, direction=0.85)}) == "one wrong"
    assert tune.best({**summary, "preset": cell(0.3, presence=0.7)}) == "base"
    still = {name: {key: cell[key] for key in ("presence", "layout_miou")} for name, cell in summary.items()}
    assert tune.best(still) == "lost"  # prompts of counts alone have no direction


def test_rows_are_resumed_and_every_method_gets_the_same_layout(tmp_path, monkeypatch) -> None:
    made = []

    class Now:
        """An executor that works at once, in this process."""

        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> Now:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, function, *arguments):  # type: ignore[no-untyped-def]
            from concurrent.futures import Future

            future: Future = Future()
            future.set_result(function(*arguments))
            return future

    def row(model, device, pictures, prompt, variant, changes, seed):  # type: ignore[no-untyped-def]
        made.append((prompt.id, variant, seed))
        return {"id": prompt.id, "variant": variant, "suite": prompt.suite, "seconds": 1.0, "presence": 1.0}

    monkeypatch.setattr(evaluate, "ProcessPoolExecutor", Now)
    monkeypatch.setattr(evaluate, "make_row", row)
    chosen, file = prompts("tune", 1), tmp_path / "rows.jsonl"
    arguments = {"model": "m", "device": "cpu", "workers": 1}
    assert len(evaluate.run(chosen, {"base": {}}, file, **arguments)) == 3
    assert len(evaluate.run(chosen, {"base": {}, "ttom": {}}, file, **arguments)) == 6
    assert len(made) == len(set(made)) == 6
    assert {seed for id_, _, seed in made if id_ == chosen[1].id} == {1}
    assert len(file.read_text().splitlines()) == 6


@pytest.mark.parametrize("model", EMBEDDED)
def test_a_row_of_the_embedded_checkpoint(tmp_path, model: str) -> None:
    """The whole path on the real checkpoint with few steps: every measure is there and the picture can be drawn."""
    from ttom.emojiworld.picture import draw

    prompt = prompts("tune", 1)[0]
    quick = {"sampler.steps": 2, "tto.guided_steps": 1, "tto.iterations": 2}
    rows = [evaluate.make_row(model, "cpu", 1, prompt, variant, quick, 0) for variant in ("base", "ttom")]
    for row in rows:
        assert {"layout_miou", "presence", "flicker", "direction", "seconds"} <= set(json.loads(json.dumps(row)))
    assert rows[0]["loss_last"] is None and rows[1]["loss_last"] < rows[1]["loss_first"]
    assert rows[0]["layout"] == rows[1]["layout"] == plan(prompt.text, aspect=1.5, seed=0).model_dump(mode="json")
    draw(rows, tmp_path / "grid.png")
    assert (tmp_path / "grid.png").stat().st_size > 1000
