"""Captions: their words, what they tell, and that the rules planner reads them."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from experiments.planning.__main__ import count_is_right, motion_is_right, relation_is_right
from ttom.emojiworld.captions import (
    NUMBERS,
    SCENERY,
    UNKNOWN_WORD,
    caption,
    captioned_scene,
    full_caption,
    paint,
    vague_caption,
    vocabulary,
)
from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.emojiworld.world import KINDS, Kind, Scene, Split, sample_scene
from ttom.errors import UserError
from ttom.layout.rules.planner import plan

SPLITS: tuple[Split, ...] = ("train", "tune", "test")
TOWARDS = {
    "left": r"\bleft|leftward",
    "right": r"\bright|rightward",
    "up": r"\bup|upward|ascend|rises|rising",
    "down": r"\bdown|downward|descend|fall|sink|drop|lowered",
}
BESIDE = {"left": r"left", "right": r"right", "above": r"above|over|\bon\b", "below": r"below|under|beneath"}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def scenes(kind: Kind, count: int = 60) -> list[Scene]:
    made = []
    for seed in range(count):
        rng = random.Random(f"{kind} {seed}")
        made.append(sample_scene(rng, "train", kind))
        paint(rng, made[-1])
    return made


@pytest.fixture(scope="module")
def captioned() -> list[tuple[Scene, str]]:
    """3000 scenes of all splits, a third of the captions vague."""
    return [captioned_scene(random.Random(seed), SPLITS[seed % 3], vague=1 / 3) for seed in range(3000)]


def test_vocabulary_is_sorted_lower_case_and_free_of_the_stand_in() -> None:
    known = vocabulary()
    assert known == sorted(set(known))
    assert all(re.fullmatch("[a-z]+", word) for word in known)
    assert UNKNOWN_WORD not in known


def test_vocabulary_covers_every_caption_and_is_all_used(captioned: list[tuple[Scene, str]]) -> None:
    used = {word for _, text in captioned for word in words(text)}
    assert used - set(vocabulary()) == {UNKNOWN_WORD}
    # Plural verbs of counts and rare nouns take more captions than these to turn up.
    assert len(used) > 0.9 * len(vocabulary())


def test_sentence_case_and_full_stop(captioned: list[tuple[Scene, str]]) -> None:
    texts = [text for _, text in captioned]
    assert all(text[0].isupper() and "  " not in text and text.strip() == text for text in texts)
    assert 0.4 < sum(text.endswith(".") for text in texts) / len(texts) < 0.6
    assert not any(re.search(r"\ba [aeiou]|\ban [^aeiou]|{|}", text) for text in texts)


@pytest.mark.parametrize("kind", KINDS)
def test_full_captions_tell_the_facts(kind: Kind) -> None:
    for seed, scene in enumerate(scenes(kind)):
        facts, text = scene.facts, full_caption(random.Random(seed), scene)
        names = [NOUNS[noun].name for noun in facts["nouns"]]
        if "counts" in facts:
            for noun, count in facts["counts"]:
                name = NOUNS[noun].name if count == 1 else NOUNS[noun].plural
                assert f"{NUMBERS[count]} {name}" in text
            continue
        told = names[: len({thing.noun for thing in scene.things})]
        assert all(re.search(rf"\b{name}\b", text) for name in told), text
        if "direction" in facts:
            assert re.search(TOWARDS[facts["direction"]], text), text
        for half, direction in zip(re.split(r" while | and ", text), facts.get("directions", ()), strict=False):
            assert re.search(TOWARDS[direction], half), text
        if "relation" in facts:
            between = text[text.index(names[0]) + len(names[0]) : text.rindex(names[1])]
            assert re.search(BESIDE[facts["relation"]], between), text


@pytest.mark.parametrize("kind", KINDS)
def test_vague_captions_say_less(kind: Kind) -> None:
    for seed, scene in enumerate(scenes(kind)):
        text = vague_caption(random.Random(seed), scene)
        for phrase in SCENERY[scene.scenery][2] if scene.scenery else ():
            text = text.replace(phrase, "")
        assert not re.search(r"\b(two|three|four|five|six|left|right|above|below|while)\b", text), text
        names = {NOUNS[thing.noun] for thing in scene.things}
        assert any(noun.name in text or noun.plural in text for noun in names), text


def test_the_rate_of_vague_captions() -> None:
    """A motion scene's full caption always says where to; a vague one never does."""
    rng = random.Random(0)
    (scene,) = scenes("motion", 1)
    scene.scenery = None
    texts = [caption(rng, scene, vague=0.25) for _ in range(800)]
    vague = [text for text in texts if not re.search(TOWARDS[scene.facts["direction"]], text.lower())]
    assert len(vague) / len(texts) == pytest.approx(0.25, abs=0.05)
    assert all(re.search(TOWARDS[scene.facts["direction"]], caption(rng, scene, 0.0).lower()) for _ in range(50))


def test_scenery_is_painted_and_named() -> None:
    named = 0
    for scene in scenes("motion", 200):
        text = full_caption(random.Random(1), scene)
        phrases = SCENERY[scene.scenery][2] if scene.scenery else ()
        named += any(text.rfind(phrase) > 0 for phrase in phrases)
        others = {phrase for key, row in SCENERY.items() if key != scene.scenery for phrase in row[2]}
        assert scene.scenery or not any(phrase in text for phrase in others)
        first, second, _ = scene.background
        assert all(0 <= value <= 1 for value in (*first, *second))
    assert 60 < named < 180


def readings(wanted: Callable[[Scene, str], bool], count: int) -> float:
    """Share of full captions, over all splits, that the planner reads as wanted."""
    right = 0
    for seed in range(count):
        scene, text = captioned_scene(random.Random(seed), SPLITS[seed % 3], vague=0.0)
        try:
            right += wanted(scene, text)
        except UserError:
            continue
    return right / count


def test_the_planner_reads_the_objects() -> None:
    """Exactly the scene's things, each noun in its number."""

    def same_objects(scene: Scene, text: str) -> bool:
        planned = Counter(thing.noun for thing in plan(text, aspect=1.5).objects)
        return planned == Counter(NOUNS[thing.noun].name for thing in scene.things)

    assert readings(same_objects, 1000) >= 0.98


def test_the_planner_reads_directions_relations_and_counts() -> None:
    def same_facts(scene: Scene, text: str) -> bool:
        facts, layout = scene.facts, plan(text, aspect=1.5)
        first, second = (NOUNS[noun].name for noun in facts["nouns"])
        names = {"object_1": first, "object_2": second}
        if "directions" in facts:
            return motion_is_right(layout, names | dict(zip(("d_1", "d_2"), facts["directions"], strict=True)))
        if "counts" in facts:
            objects = ",".join(NOUNS[noun].name for noun, _ in facts["counts"])
            numbers = ",".join(str(count) for _, count in facts["counts"])
            return count_is_right(layout, {"objects": objects, "numbers": numbers})
        moves = {"object_1": first, "d_1": facts.get("direction", ""), "object_2": "", "d_2": ""}
        right = "direction" not in facts or motion_is_right(layout, moves)
        return right and ("relation" not in facts or relation_is_right(layout, names | {"spatial": facts["relation"]}))

    assert readings(same_facts, 1000) >= 0.98


def test_wrong_readings_would_be_seen() -> None:
    layout = plan("A cat walks to the left above a house", aspect=1.5)
    assert sorted(thing.noun for thing in layout.objects) == ["cat", "house"]
    assert not motion_is_right(layout, {"object_1": "cat", "d_1": "right", "object_2": "", "d_2": ""})
    assert {"cat", "house"} <= set(INDEX)


def test_vague_captions_of_two_counts_say_nothing_false() -> None:
    """ "A dog and a cat" would be false of one dog and three cats."""
    for seed in range(400):
        rng = random.Random(seed)
        scene = captioned_scene(rng, "train", "two_counts")[0]
        text = vague_caption(rng, scene)
        for noun, count in scene.facts["counts"]:
            if count > 1:
                assert not re.search(rf"\b(an?|one|the) (\w+ )?{NOUNS[noun].name}\b", text), text
