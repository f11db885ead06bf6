"""The measure of the planner: its rules on items of our own, and the command's result file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from experiments.planning import __main__ as planning
from experiments.planning import scoring
from experiments.planning.measures import iou, overlap, roughness
from tests.chat_server import ChatServer
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.layout.rules.planner import plan

MOTION = {"prompt": "A red kite glides leftwards", "object_1": "kite", "d_1": "left", "object_2": "", "d_2": ""}
BOTH = {
    "prompt": "A mole runs left while a hen flies upward",
    "object_1": "mole",
    "d_1": "left",
    "object_2": "hen",
    "d_2": "up",
}
RELATION = {"prompt": "A hen on a crate", "spatial": "on", "object_1": "hen", "object_2": "crates"}
DEPTH = {"prompt": "A hen behind a crate", "spatial": "behind", "object_1": "hen", "object_2": "crate"}
COUNT = {"prompt": "Two hens and three old crates", "objects": "hen, crate", "numbers": "2, 3"}


def test_matching_rule() -> None:
    (item,) = plan("a beach umbrella", aspect=1.5).objects
    for name in ("umbrella", "umbrellas", "beach umbrella", "big beach umbrella"):
        assert scoring.matches(name, item)
    for name in ("beach", "brella", "umbrella stand"):
        assert not scoring.matches(name, item)


def test_motion_rule() -> None:
    layout = plan(MOTION["prompt"], aspect=1.5)
    assert scoring.motion_is_right(layout, MOTION)
    for wrong in ({"d_1": "right"}, {"d_1": "up"}, {"object_1": "hen"}, {"object_2": "hen", "d_2": "left"}):
        assert not scoring.motion_is_right(layout, MOTION | wrong)
    layout = plan(BOTH["prompt"], aspect=1.5)
    assert scoring.motion_is_right(layout, BOTH)
    assert not scoring.motion_is_right(layout, BOTH | {"d_2": "down"})
    still = plan("a kite", aspect=1.5)
    assert not scoring.motion_is_right(still, MOTION)


def test_relation_rule() -> None:
    layout = plan(RELATION["prompt"], aspect=1.5)
    for name in ("on", "above"):
        assert scoring.relation_is_right(layout, RELATION | {"spatial": name})
    for name in ("under", "below", "left", "right"):
        assert not scoring.relation_is_right(layout, RELATION | {"spatial": name})
    assert not scoring.relation_is_right(layout, RELATION | {"object_2": "cart"})


def test_count_rule() -> None:
    layout = plan(COUNT["prompt"], aspect=1.5)
    assert scoring.count_is_right(layout, COUNT)
    assert not scoring.count_is_right(layout, COUNT | {"numbers": "2, 2"})
    assert not scoring.count_is_right(layout, COUNT | {"objects": "hen, cart"})


def test_wilson_interval() -> None:
    assert scoring.wilson(9, 10) == pytest.approx([0.5958, 0.9821], abs=1e-4)
    assert scoring.wilson(10, 10)[1] == 1.0
    assert scoring.wilson(0, 0) == [0.0, 1.0]


def test_command_keeps_odd_and_even_lines_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {"prompt": "in a forest", "object_1": "cat", "d_1": "left", "object_2": "", "d_2": ""}
    (tmp_path / "motion_binding.json").write_text(json.dumps([MOTION, MOTION | {"d_1": "up"}, BOTH, refused]))
    (tmp_path / "spatial_relationships.json").write_text(json.dumps([RELATION, DEPTH]))
    (tmp_path / "generative_numeracy.json").write_text(json.dumps([COUNT, COUNT | {"numbers": "1, 1"}]))
    out = tmp_path / "results" / "rules.json"
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", str(tmp_path), "--out", str(out)])
    planning.main()
    result = json.loads(out.read_text())
    odd, even = result["lines"]["odd"], result["lines"]["even"]
    assert (odd["motion"]["right"], odd["motion"]["total"]) == (2, 2)
    assert (even["motion"]["right"], even["motion"]["refused"], even["motion"]["total"]) == (0, 1, 2)
    assert (odd["spatial_2d"]["total"], even["spatial_2d"]["total"]) == (1, 0)
    assert (odd["depth_planned"]["total"], even["depth_planned"]["right"]) == (0, 1)
    assert (odd["numeracy"]["right"], even["numeracy"]["right"]) == (1, 0)
    assert odd["all_quoted"]["total"] == 4
    assert "hen" not in out.read_text(), "no prompt texts in the result"
    assert "even lines" in capsys.readouterr().out


def test_command_names_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", str(tmp_path)])
    with pytest.raises(SystemExit, match="motion_binding.json does not exist"):
        planning.main()


def moving(name: str, *lefts: float) -> LayoutObject:
    """A box of 0.2 x 0.2 at the top with these left edges at even times."""
    frames = tuple(
        KeyFrame(time=k / (len(lefts) - 1), box=Box(x0=left, y0=0.0, x1=left + 0.2, y1=0.2))
        for k, left in enumerate(lefts)
    )
    return LayoutObject(id=name, phrase="hen", noun="hen", key_frames=frames)


def test_measures() -> None:
    even, other = moving("1", 0.0, 0.7), moving("2", 0.1, 0.8)
    assert roughness(Layout(prompt="hens", objects=(even,))) == pytest.approx(0.0)
    zigzag = moving("1", 0.0, 0.1, 0.0, 0.1, 0.0, 0.1)
    assert roughness(Layout(prompt="hens", objects=(zigzag,))) == pytest.approx(0.2)
    assert overlap(Layout(prompt="hens", objects=(even,))) is None
    assert overlap(Layout(prompt="hens", objects=(even, other))) == pytest.approx(1 / 3)
    assert iou(even.key_frames[0].box, even.key_frames[1].box) == 0.0


def test_an_object_that_leaves_is_judged_by_where_it_was() -> None:
    gone = moving("1", 0.0, 0.8).model_copy(update={"visible": (0.0, 0.45)})
    layout = Layout(prompt="a hen", objects=(gone,))
    item = {"object_1": "hen", "d_1": "right", "object_2": "", "d_2": ""}
    assert scoring.motion_is_right(layout, item)


def metadata(folder: Path) -> str:
    (folder / "motion_binding.json").write_text(json.dumps([MOTION | {"d_1": "right"}]))
    (folder / "spatial_relationships.json").write_text("[]")
    (folder / "generative_numeracy.json").write_text(json.dumps([COUNT]))
    return str(folder)


def test_an_endpoint_is_scored_without_its_way_back_to_the_rules(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    server.objects = [("red kite", "kite")]
    out = tmp_path / "llm.json"
    options = ["--planner", "llm", "--base-url", server.url, "--one-call", "--out", str(out), "--lines", "odd"]
    prices = ["--input-price", "1", "--output-price", "1"]
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", metadata(tmp_path), *options, *prices])
    planning.main()
    result = json.loads(out.read_text())
    odd = result["lines"]["odd"]
    assert (result["model"], result["stages"]) == ("gpt-4o", ["one-call"])
    assert odd["motion"]["right"] == 1
    assert odd["numeracy"]["refused"] == 1, "its counts stayed wrong"
    assert odd["layouts"]["cost_usd"] == pytest.approx(4 * 110e-6), "one answer, and three that were wrong"
    assert odd["layouts"]["seconds_per_layout"] > 0
    assert str(tmp_path) not in out.read_text()


def test_a_cache_is_scored_on_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = "{'id': 0, 'name': 'kite', 'box': [%d, 100, 200, 100]}"
    answer = "\n".join(f"Frame {k + 1}: [{box % (80 * k)}]" for k in range(6))
    cache, out = tmp_path / "cache.json", tmp_path / "import.json"
    cache.write_text(json.dumps({MOTION["prompt"]: [answer], "A hen": ["no", answer]}))
    options = ["--planner", "import", "--import", str(cache), "--out", str(out), "--lines", "odd"]
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", metadata(tmp_path), *options])
    planning.main()
    result = json.loads(out.read_text())
    assert (result["import"]["imported"], result["import"]["prompts"], result["import"]["answers"]) == (1, 2, 3)
    assert result["import"]["layouts"]["out_of_bounds_before_checks"] == pytest.approx(2 / 6, abs=1e-4)
    assert result["import"]["layouts"]["out_of_bounds_after_checks"] == 0.0
    odd = result["lines"]["odd"]
    assert (odd["motion"]["right"], odd["motion"]["total"]) == (1, 1)
    assert (odd["numeracy"]["missing"], odd["numeracy"]["total"]) == (1, 0)
    assert str(tmp_path) not in out.read_text()


@pytest.mark.parametrize("options", [[], ["--planner", "import"], ["--metadata", "x", "--import", "y"]])
def test_wrong_options_are_named(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["planning", *options])
    with pytest.raises(SystemExit) as stop:
        planning.main()
    assert stop.value.code == 2
