"""Layouts of other projects: their formats, their defects, and all of LVD's cache where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ttom.errors import UserError
from ttom.layout.drafts import Limits
from ttom.layout.importers import ImportedPrompt, import_file
from ttom.layout.model import check_layout

LIMITS = Limits(min_size=0.05, max_speed=2.5)
PROMPT = "A scene in which a walking dog appears only in the second half, behind two cats"
ROOT = Path(__file__).resolve().parents[2]
PLACES = [Path(folder) for folder in [os.environ.get("TTOM_DATA")] if folder]
PLACES += [ROOT.parent / "shared" / "data", ROOT / "shared" / "data"]  # beside the checkout, or in it
DATA = next((place / "layouts" for place in PLACES if (place / "layouts").is_dir()), None)


def frame(number: int, *objects: str) -> str:
    return f"Frame {number}: [{', '.join(objects)}]"


def thing(name: str = "dog", number: int = 0, box: str = "0, 256, 100, 50") -> str:
    return f"{{'id': {number}, 'name': '{name}', 'box': [{box}]}}"


def raw(*frames: str) -> str:
    return "Reasoning: In Frame 1: nothing. It's a dog's life.\n\n" + "\n".join(frames) + "\nBackground keyword: park"


def load(tmp_path: Path, data: Any, **options: Any) -> list[ImportedPrompt]:
    path = tmp_path / "cache.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return import_file(path, LIMITS, **options)


GOOD = raw(*(frame(k, thing(box=f"{80 * k}, 256, 100, 50")) for k in range(1, 7)))


def test_raw_text_with_remarks_and_absent_objects(tmp_path: Path) -> None:
    cats = [thing("cats", 1, "0, 0, 100, 100"), thing("cats", 2, "300, 0, 100, 100")]
    text = raw(
        *(frame(k, thing(box="0, 0, 0, 0"), *cats) + "  # The dog isn't there yet" for k in range(1, 4)),
        *(frame(k, thing("walking dog", 0, "256.5, 256, +100, 50.0"), *cats) + ";" for k in range(4, 6)),
        "Frame 6: [\n" + ",\n".join([thing("dog", 0, "256, 256, 300, 50"), *cats]) + "\n]  # cut 'off",
    ).replace("walking dog", "dog")
    (row,) = load(tmp_path, {PROMPT: [text]})
    assert row.checked.layout is not None, row.checked.problems
    dog, *others = row.checked.layout.objects
    assert dog.visible == (0.5, 1.0)
    assert dog.key_frames[-1].box.x1 == 1.0
    assert [(item.phrase, item.noun) for item in others] == [("cats", "cat")] * 2
    assert row.checked.out_of_bounds == 1
    assert row.checked.layout.source == "import"


def test_the_first_valid_answer_is_taken(tmp_path: Path) -> None:
    bad = raw(frame(1, thing()), "Frame 2: [{'id': 0, 'name': 'dog', 'box': [0, 2")
    (row,) = load(tmp_path, {"a dog": [bad, GOOD, GOOD]})
    assert (row.taken, row.answers) == (2, 3)
    assert row.checked.layout is not None
    (row,) = load(tmp_path, {"a dog": bad})
    assert row.checked.problems == ("frame 2 is cut off",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (raw(frame(1, thing()), frame(3, thing())), "numbered 1, 3"),
        (raw(frame(1, thing()), frame(1, thing())), "frame 1 occurs twice"),
        (raw("Frame 1: []", "Frame 2: []"), "no object is listed"),
        ("I cannot do this.", "numbered none"),
        (raw(frame(1, thing()), frame(2, thing("horse"))), "the id '0' is 'dog' first and 'horse' in frame 2"),
        (raw(frame(1, thing()), frame(2, "{'id': 0, 'box': [1, 2, 3, 4]}")), "not an object with id, name and box"),
        (raw(frame(1, thing()), frame(2, thing(box="1, 2, 3"))), "not an object with id, name and box"),
        (raw(frame(1, thing()), frame(2, thing(box="1, 2, 3, __import__"))), "not an object with id, name and box"),
        (raw(frame(1, thing()), frame(2, "print(1)")), "holds 'print(1)' beside its objects"),
        (raw(frame(1, thing("")), frame(2, thing())), "without a name"),
        (raw(frame(1, thing(box="0, 0, 9, 9")), frame(2, thing(box="900, 900, 9, 9"))), ""),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, text: str, problem: str) -> None:
    (row,) = load(tmp_path, {"a dog": [text]})
    if problem:
        assert problem in "; ".join(row.checked.problems)
    else:
        assert row.checked.layout is not None and row.checked.layout.objects[0].visible == (0.0, 0.5)


def test_names_with_marks_and_ids_that_two_things_share(tmp_path: Path) -> None:
    one = '{"name": "child\'s #1 [big toy", "id": \'a\', \'box\': (0, 0, 200, 200)}'
    other = thing("dog", 0).replace("'id': 0", "'id': 'a'")
    text = raw(frame(1, one, other), frame(2, one, other))
    (row,) = load(tmp_path, {"the child's #1 [big toy and a dog": [text]})
    assert row.checked.layout is not None, row.checked.problems
    assert [item.noun for item in row.checked.layout.objects] == ["toy", "dog"]


def ttom_entry(**changes: Any) -> dict[str, Any]:
    boxes = [{"id": k, "name": "rabbits", "box": [50 + 150 * k, 300, 100, 80]} for k in range(5)]
    layout = {"frames": {str(number): boxes for number in range(1, 7)}, "background": "meadow"}
    return {"prompt": "Five rabbits", "layout": layout, **changes}


def test_ttoms_cache(tmp_path: Path) -> None:
    enriched = {"original_prompt": "Five rabbits hop", "enriched_prompt": "Five white rabbits hop in the dew"}
    rows = load(tmp_path, {"119": ttom_entry(), "120": ttom_entry(**enriched)})
    assert [row.prompt for row in rows] == ["Five rabbits", "Five rabbits hop"]
    for row in rows:
        assert row.checked.layout is not None
        assert len(row.checked.layout.objects) == 5
        assert row.checked.layout.objects[4].key_frames[0].box.x1 == 1.0, "650 + 100 on 720"
    (row,) = load(tmp_path, [ttom_entry(**enriched)], text="enriched")
    assert row.prompt == "Five white rabbits hop in the dew"


def test_ttoms_raw_form_stands_in(tmp_path: Path) -> None:
    text = raw(*(frame(k, thing("cat", 0, "600, 350, 200, 150")) for k in range(1, 7)))
    (row,) = load(tmp_path, {"0": {"prompt": "a cat", "layout": {"frames": []}, "layout_with_reasoning": text}})
    assert (row.taken, row.answers) == (2, 2)
    (row,) = load(tmp_path, {"0": {"prompt": "a cat"}})
    assert row.checked.problems == ("the entry has no layout",)


def test_one_raw_answer_needs_its_prompt_and_canvas(tmp_path: Path) -> None:
    (row,) = load(tmp_path, GOOD, prompt="a dog", canvas=(1000, 500))
    assert row.checked.layout is not None
    assert row.checked.layout.objects[0].key_frames[0].box.x0 == pytest.approx(0.08)
    with pytest.raises(UserError, match="one raw answer"):
        load(tmp_path, GOOD)
    with pytest.raises(UserError, match="prompts of its own"):
        load(tmp_path, {"a dog": [GOOD]}, prompt="a cat")


@pytest.mark.parametrize(
    "data", ["", "hello", "[]", "{}", "3", {"a": 1}, {"a": []}, {"a": [1]}, {"a": {"x": 1}}, [None]]
)
def test_other_files_are_refused(tmp_path: Path, data: Any) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path, data)
    assert error.value.expected


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("Frame 1: [é]".encode("latin-1"))
    for name, problem in (("none", "does not exist"), ("", "cannot be read"), ("latin", "not in UTF-8")):
        with pytest.raises(UserError, match=problem):
            import_file(tmp_path / name, LIMITS)


@pytest.mark.skipif(DATA is None, reason="the caches of other projects are not at hand (set TTOM_DATA to their folder)")
def test_all_of_lvds_and_ttoms_caches() -> None:
    assert DATA is not None
    lvd = import_file(DATA / "lvd_gpt4_cache.json", LIMITS)
    assert len(lvd) == 184
    refused = [(row.prompt, row.checked.problems) for row in lvd if row.checked.layout is None]
    assert len(refused) <= 0.02 * len(lvd), refused
    for row in [*lvd, *import_file(DATA / "ttom_release_sample.json", LIMITS)]:
        if row.checked.layout is not None:
            check_layout(row.checked.layout, row.prompt)
