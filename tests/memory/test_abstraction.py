"""Which words an abstraction takes out of a prompt and which it keeps."""

from __future__ import annotations

import string

import pytest

from ttom.errors import UserError
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.layout.rules.planner import plan
from ttom.memory.abstraction import abstract

PAPER = "A vibrant red balloon drifts right to left above a grand statue."


def layout_of(prompt: str, *phrases: str) -> Layout:
    """A layout of one object a phrase; the boxes do not matter here."""
    frame = KeyFrame(time=0.0, box=Box(x0=0.1, y0=0.1, x1=0.4, y1=0.4))
    objects = tuple(
        LayoutObject(id=str(i), phrase=phrase, noun=phrase.split()[-1], key_frames=(frame,))
        for i, phrase in enumerate(phrases)
    )
    return Layout(prompt=prompt, objects=objects)


def abstracted(prompt: str, *phrases: str) -> str:
    return abstract(prompt, layout_of(prompt, *phrases))


def test_the_example_of_the_paper() -> None:
    expected = "<object A> drifts right to left above <object B>."
    assert abstracted(PAPER, "vibrant red balloon", "grand statue") == expected
    assert abstract(PAPER, plan(PAPER, aspect=832 / 480)) == expected


@pytest.mark.parametrize(
    ("prompt", "phrases", "expected"),
    [
        ("A dog chases the cat", ["dog", "cat"], "<object A> chases <object B>"),
        ("An owl lands on his house", ["owl", "house"], "<object A> lands on <object B>"),
        ("This dog follows those cats", ["dog", "cats"], "<object A> follows <object B>"),
        ("Dogs run", ["Dogs"], "<object A> run"),
        ("The girl's dog runs", ["girl", "dog"], "<object A>'s <object B> runs"),
    ],
)
def test_a_phrase_goes_with_its_determiner(prompt: str, phrases: list[str], expected: str) -> None:
    assert abstracted(prompt, *phrases) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("three dogs run left", "three <object A> run left"),
        ("3 dogs run left", "3 <object A> run left"),
        ("twenty-two dogs", "twenty-two <object A>"),
        ("some dogs and many dogs", "some <object A> and many <object A>"),
        ("A couple of dogs", "A couple of <object A>"),
        ("a few dogs, a dozen dogs", "a few <object A>, a dozen <object A>"),
        ("no dogs, every dog, another dog", "no <object A>, every <object A>, another <object A>"),
        ("the two dogs", "two <object A>"),
        ("Her twenty two dogs", "twenty two <object A>"),
    ],
)
def test_counts_stay(prompt: str, expected: str) -> None:
    assert abstracted(prompt, "dogs") == expected


@pytest.mark.parametrize("phrase", ["three dogs", "the three dogs", "dogs"])
def test_a_count_stays_that_the_planner_took_into_the_phrase(phrase: str) -> None:
    prompt = "Here the three dogs run"
    assert abstracted(prompt, phrase) == "Here three <object A> run"


def test_letters_follow_the_prompt_and_not_the_layout() -> None:
    assert abstracted("a cat above a dog", "dog", "cat") == "<object A> above <object B>"


def test_repeated_mentions_share_a_letter() -> None:
    prompt = "A dog meets a cat. The DOG leaves, the cats stay with two dogs."
    expected = "<object A> meets <object B>. <object A> leaves, <object B> stay with two <object A>."
    assert abstracted(prompt, "dog", "cat") == expected
    assert abstracted(prompt, "dog", "cats", "dogs") == expected


def test_the_longest_phrase_wins() -> None:
    prompt = "a teddy bear left of a bear"
    for phrases in (("bear", "teddy bear"), ("teddy bear", "bear")):
        assert abstracted(prompt, *phrases) == "<object A> left of <object B>"
    assert abstracted("a teddy bear", "bear", "teddy bear") == "<object A>"


def test_only_whole_words_are_taken() -> None:
    assert abstracted("a cat in a catamaran, a wildcat", "cat") == "<object A> in a catamaran, a wildcat"


def test_adjectives_that_the_layout_leaves_out_stay() -> None:
    assert abstracted(PAPER, "balloon", "statue") == (
        "A vibrant red <object A> drifts right to left above a grand <object B>."
    )


def test_a_determiner_across_a_mark_belongs_to_something_else() -> None:
    assert abstracted("vitamin-a dog, option a: dog", "dog") == "vitamin-a <object A>, option a: <object A>"


def test_more_objects_than_letters() -> None:
    names = [f"{letter}{letter}q" for letter in string.ascii_lowercase] + ["abq", "acq"]
    result = abstracted(", ".join(f"a {name}" for name in names), *names).split(", ")
    assert result[0] == "<object A>" and result[25:] == ["<object Z>", "<object AA>", "<object AB>"]


def test_placeholders_of_the_prompt_stay_and_keep_their_letter() -> None:
    assert abstracted("<object A> chases a dog", "dog") == "<object A> chases <object B>"
    assert abstracted("a dog chases <Object a> and a cat", "dog", "cat") == (
        "<object B> chases <Object a> and <object C>"
    )
    assert abstracted("an object near <object A>", "object") == "<object B> near <object A>"
    assert abstracted("<object A> moves", "object A") == "<object A> moves"


def test_an_abstraction_is_the_same_for_other_objects() -> None:
    other = "The old tractor drifts right to left above his wooden shed."
    assert abstracted(PAPER, "vibrant red balloon", "grand statue") == abstracted(other, "old tractor", "wooden shed")


def test_chinese_needs_no_spaces() -> None:
    assert abstracted("一只红色的猫向左跑", "红色的猫") == "一只<object A>向左跑"


def test_a_layout_of_another_prompt_is_refused() -> None:
    with pytest.raises(UserError, match="does not occur in the prompt"):
        abstract("a cat", layout_of("a dog", "dog"))
