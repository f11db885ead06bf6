"""The measure of the planner: its rules on items of our own, and the command's result file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from experiments.planning import __main__ as planning
from ttom.layout.rules import plan

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
        assert planning.matches(name, item)
    for name in ("beach", "brella", "umbrella stand"):
        assert not planning.matches(name, item)


def test_motion_rule() -> None:
    layout = plan(MOTION["prompt"], aspect=1.5)
    assert planning.motion_is_right(layout, MOTION)
    for wrong in ({"d_1": "right"}, {"d_1": "up"}, {"object_1": "hen"}, {"object_2": "hen", "d_2": "left"}):
        assert not planning.motion_is_right(layout, MOTION | wrong)
    layout = plan(BOTH["prompt"], aspect=1.5)
    assert planning.motion_is_right(layout, BOTH)
    assert not planning.motion_is_right(layout, BOTH | {"d_2": "down"})
    still = plan("a kite", aspect=1.5)
    assert not planning.motion_is_right(still, MOTION)


def test_relation_rule() -> None:
    layout = plan(RELATION["prompt"], aspect=1.5)
    for name in ("on", "above"):
        assert planning.relation_is_right(layout, RELATION | {"spatial": name})
    for name in ("under", "below", "left", "right"):
        assert not planning.relation_is_right(layout, RELATION | {"spatial": name})
    assert not planning.relation_is_right(layout, RELATION | {"object_2": "cart"})


def test_count_rule() -> None:
    layout = plan(COUNT["prompt"], aspect=1.5)
    assert planning.count_is_right(layout, COUNT)
    assert not planning.count_is_right(layout, COUNT | {"numbers": "2, 2"})
    assert not planning.count_is_right(layout, COUNT | {"objects": "hen, cart"})


def test_wilson_interval() -> None:
    assert planning.wilson(9, 10) == pytest.approx([0.5958, 0.9821], abs=1e-4)
    assert planning.wilson(10, 10)[1] == 1.0
    assert planning.wilson(0, 0) == [0.0, 1.0]


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
