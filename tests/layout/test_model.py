"""The layout file format: round trips, interpolation, and one clear message for each kind of bad file."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ttom.errors import UserError
from ttom.layout.model import (
    Box,
    KeyFrame,
    Layout,
    LayoutObject,
    check_layout,
    layout_schema,
    load_layout,
    save_layout,
)


def _box(x0: float = 0.1, y0: float = 0.2, x1: float = 0.3, y1: float = 0.6) -> Box:
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


def _object(name: str = "kite-1", phrase: str = "red kite", noun: str = "kite", **more: Any) -> LayoutObject:
    frames = more.pop("key_frames", (KeyFrame(time=0.0, box=_box()),))
    return LayoutObject(id=name, phrase=phrase, noun=noun, key_frames=frames, **more)


def _layout(*objects: LayoutObject) -> Layout:
    return Layout(prompt="A red kite over the sea", objects=objects or (_object(),), source="rules", notes=("a note",))


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    moving = _object(
        key_frames=(KeyFrame(time=0.25, box=_box()), KeyFrame(time=1.0, box=_box(0.5, 0.2, 0.7, 0.6))),
        visible=(0.1, 0.9),
    )
    layout = _layout(moving, _object("kite-2"))
    path = tmp_path / "layout.json"
    save_layout(layout, path)
    assert load_layout(path) == layout
    assert json.loads(path.read_text())["version"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["layout.json"], "the temporary file is gone"


def test_the_reference_shows_a_layout_file(tmp_path: Path) -> None:
    reference = (Path(__file__).resolve().parents[2] / "docs/reference/layout.md").read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", reference, re.S)
    (tmp_path / "layout.json").write_text(shown)
    layout = load_layout(tmp_path / "layout.json")
    assert [item.noun for item in layout.objects] == ["balloon", "house"]


def test_saving_replaces_the_old_file_and_reports_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "layout.json"
    path.write_text("old")
    save_layout(_layout(), path)
    assert load_layout(path) == _layout()
    with pytest.raises(UserError, match="cannot be written"):
        save_layout(_layout(), tmp_path / "missing" / "layout.json")


def test_box_properties() -> None:
    box = _box(0.1, 0.2, 0.4, 0.8)
    assert box.width == pytest.approx(0.3)
    assert box.height == pytest.approx(0.6)
    assert box.center == pytest.approx((0.25, 0.5))


def test_box_at_interpolates_holds_and_hides() -> None:
    item = _object(
        key_frames=(
            KeyFrame(time=0.2, box=_box(0.0, 0.2, 0.2, 0.6)),
            KeyFrame(time=0.6, box=_box(0.4, 0.2, 0.8, 0.6)),
            KeyFrame(time=0.8, box=_box(0.4, 0.4, 0.8, 0.8)),
        ),
        visible=(0.1, 0.9),
    )
    assert item.box_at(0.05) is None
    assert item.box_at(0.95) is None
    assert item.box_at(0.1) == item.key_frames[0].box
    assert item.box_at(0.9) == item.key_frames[2].box
    quarter = item.box_at(0.3)
    assert quarter is not None
    assert (quarter.x0, quarter.x1) == pytest.approx((0.1, 0.35))
    late = item.box_at(0.7)
    assert late is not None
    assert late.y0 == pytest.approx(0.3)


def test_groups_join_the_same_words_only() -> None:
    layout = _layout(_object("a"), _object("b", "cats", "cat"), _object("c", "Red kite"), _object("d", "kite"))
    groups = layout.groups()
    assert [(group.phrase, [item.id for item in group.objects]) for group in groups] == [
        ("red kite", ["a", "c"]),
        ("cats", ["b"]),
        ("kite", ["d"]),
    ]


def test_layouts_are_frozen() -> None:
    with pytest.raises(ValidationError):
        _layout().prompt = "else"  # type: ignore[misc]


def _good() -> dict[str, Any]:
    return json.loads(_layout(_object(), _object("kite-2")).model_dump_json())


def _with(path: str, value: Any) -> dict[str, Any]:
    """The good file with one place changed; the path as in the messages, without brackets."""
    data = copy.deepcopy(_good())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target: Any = data
    for part in parents:
        target = target[part]
    target[last] = value
    return data


_FIRST_BOX = "objects.0.key_frames.0.box"
_BAD = {
    "version 2": (_with("version", 2), r"has version 2\nexpected: \"version\": 1"),
    "version true": (_with("version", True), "has version true"),
    "NaN": (_with(f"{_FIRST_BOX}.x0", float("nan")), r"objects\[0\]\.key_frames\[0\]\.box\.x0 is nan, not a finite"),
    "infinite": (_with(f"{_FIRST_BOX}.x1", float("inf")), r"box\.x1 is inf, not a finite number"),
    "outside right": (_with(f"{_FIRST_BOX}.x1", 1.2), r"box\.x1 is 1\.2, outside \[0, 1\]"),
    "outside left": (_with(f"{_FIRST_BOX}.y0", -0.1), r"box\.y0 is -0\.1, outside \[0, 1\]"),
    "zero width": (_with(f"{_FIRST_BOX}.x1", 0.1), r"objects\[0\]\.key_frames\[0\]\.box has zero or negative size"),
    "negative height": (_with(f"{_FIRST_BOX}.y1", 0.1), r"box has zero or negative size"),
    "text for a number": (_with(f"{_FIRST_BOX}.x0", "0.1"), r"box\.x0 is \"0\.1\""),
    "true for a number": (_with(f"{_FIRST_BOX}.x0", True), r"box\.x0 is true"),
    "unknown field": (_with("colour", "red"), "colour is not a field of a layout"),
    "unknown box field": (_with(f"{_FIRST_BOX}.w", 0.1), r"box\.w is not a field"),
    "no objects": (_with("objects", []), "objects is empty"),
    "no key frames": (_with("objects.0.key_frames", []), r"objects\[0\]\.key_frames is empty"),
    "empty phrase": (_with("objects.0.phrase", "  "), r"objects\[0\]\.phrase is empty"),
    "times": (
        _with("objects.0.key_frames", [{"time": t, "box": _box().model_dump()} for t in (0.5, 0.5)]),
        r"objects\[0\] has key frame times \[0\.5, 0\.5\], which do not ascend",
    ),
    "visible": (_with("objects.1.visible", [0.6, 0.6]), r"objects\[1\] has the visible interval \[0\.6, 0\.6\]"),
    "ids": (_with("objects.1.id", "kite-1"), "the id 'kite-1' occurs more than once"),
    "many key frames": (
        _with("objects.0.key_frames", [{"time": t / 1001, "box": _box().model_dump()} for t in range(1001)]),
        r"objects\[0\]\.key_frames is too long\nexpected: at most 1000 entries",
    ),
    "many objects": (
        _with("objects", [{**_good()["objects"][0], "id": str(n)} for n in range(49)]),
        r"objects is too long\nexpected: at most 48 entries",
    ),
    "long phrase": (_with("objects.0.phrase", "x" * 201), r"objects\[0\]\.phrase is too long\nexpected: at most 200"),
    "long prompt": (_with("prompt", "x" * 20_001), r"prompt is too long\nexpected: at most 20000"),
    "escape sequence": (
        _with("objects.0.phrase", "red\x1b[31m kite"),
        r"phrase contains the control character U\+001B",
    ),
    "NUL": (_with("objects.0.id", "a\x00"), r"id contains the control character U\+0000"),
    "half a character": (_with("prompt", "A red kite \ud800"), "expected: Unicode text"),
    "bad note": (_with("notes", ["\x07"]), r"notes\[0\] contains the control character U\+0007"),
    "list for a text": (_with("left_out", [["x"]]), r"left_out\[0\] is \[\"x\"\]"),
    "long field": (_with("k" * 5000, 1), "k{77}... is not a field of a layout"),
}


@pytest.mark.parametrize("name", _BAD)
def test_bad_content_is_one_clear_message(name: str, tmp_path: Path) -> None:
    data, message = _BAD[name]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message) as caught:
        load_layout(path)
    assert str(path) in caught.value.problem
    assert caught.value.expected
    assert caught.value.remedy


def test_missing_fields_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    data = _good()
    del data["objects"][0]["noun"]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"objects\[0\]\.noun is missing"):
        load_layout(path)
    data = _good()
    del data["version"]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="has no version"):
        load_layout(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{not json", "is not JSON"),
        (b"", "is not JSON"),
        (b"[" * 100_000, "too many levels of lists"),
        (b'{"version": 1, "x": ' + b"[" * 40 + b"]" * 40 + b"}", "more than 32 levels of lists"),
        (b"[1, 2]", r"holds \[1, 2\]"),
        (b'{"version": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_files_that_are_no_layout(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_layout(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_layout(tmp_path / "none.json")
    with pytest.raises(UserError, match="cannot be read"):
        load_layout(tmp_path)


def test_check_layout_wants_whole_words_of_the_prompt() -> None:
    check_layout(_layout(), "a Red  kite over the sea")
    check_layout(_layout(), "two red kites over the sea")  # its tokens are found in the plural, too
    for prompt in ("a kite that is red", "a red kitesurfer", "a bred kite"):
        with pytest.raises(UserError, match="'red kite' .* does not occur in the prompt"):
            check_layout(_layout(), prompt)


def test_schema_names_the_version_and_forbids_unknown_fields() -> None:
    schema = layout_schema()
    assert schema["properties"]["version"]["const"] == 1
    assert set(schema["required"]) == {"version", "prompt", "objects"}
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Box"]["properties"]["x0"]["maximum"] == 1.0


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "layout.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(_good()).encode())
    assert load_layout(path).objects


def test_one_and_many_of_a_kind_are_one_group() -> None:
    # "cat" and "cats" find the same tokens, hence the same attention map: two masks would contradict each other.
    layout = _layout(_object("a", "black cat", "cat"), _object("b", "Black cats", "cat"), _object("c", "cat", "cat"))
    assert [[item.id for item in group.objects] for group in layout.groups()] == [["a", "b"], ["c"]]


def test_a_file_from_before_left_out_reads_and_what_is_left_out_is_kept(tmp_path: Path) -> None:
    layout = _layout().model_copy(update={"left_out": ("blue house (no box, left to the video model)",)})
    save_layout(layout, tmp_path / "layout.json")
    assert load_layout(tmp_path / "layout.json") == layout
    older = {key: value for key, value in layout.model_dump(mode="json").items() if key != "left_out"}
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert load_layout(tmp_path / "older.json").left_out == ()
