"""What a layout does not show is said."""

from __future__ import annotations

import pytest

from tests.layout.seen import ASPECT, direction
from ttom.layout.rules.motion import find_motion
from ttom.layout.rules.omissions import things_left_out, words_left_out
from ttom.layout.rules.planner import plan
from ttom.layout.rules.reading import Reading


def things(prompt: str) -> list[str]:
    reading = Reading(prompt)
    return [text.removesuffix(" (no box, left to the video model)") for text in things_left_out(reading, [])]


def unsaid(prompt: str) -> list[str]:
    """The words left out where every phrase has a box."""
    reading = Reading(prompt)
    return words_left_out(reading, find_motion(reading), reading.mentions)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("A man with a hat", ["man", "hat"]),
        ("A man and his brother", ["man", "brother"]),
        ("A bird flaps its wings", ["bird", "wings"]),
        ("A car stops, its wheels spinning", ["car"]),
        ("A man teaches his partner how to cook", ["man", "partner"]),
        ("A dog and its puppy", ["dog", "puppy"]),
        ("A cat at sea with a tree in the background", ["cat"]),
        ("A smell at a slow pace", []),
        ("A girl with dogs", ["girl", "dogs"]),
        ("A bird to the upper left", ["bird"]),
    ],
)
def test_things(prompt: str, said: list[str]) -> None:
    assert things(prompt) == said


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("A cat sits quietly", []),
        ("A cat gribbles the floof", ['"gribbles" (not understood)']),
        ("A cat runs through a garden", ['"runs through a garden" of cat, which gives no direction']),
        ("A cat turns red", []),
        ("A woman waters plants", ['"plants" (not understood)']),
        ("A cat runs left", []),
        ("Cats hug each other", []),
        ("A woman with red rose", ['"rose" (not understood)']),
        ("A girl throws a ball upward", []),
        # Verbs with a particle
        ("A house burning down", ['"burning down" (left to the video model)']),
        ("A man picks a ball up", ['"picks a ball up" (left to the video model)']),
        ("A man picks up a ball and runs left", ['"picks up" (left to the video model)']),
        ("A ball zigzags down", ['"zigzags down" (not understood)']),
        ("A man zorbs a ball up", ['"zorbs a ball up" (left to the video model)', '"zorbs" (not understood)']),
        ("A leaf floats down a stream", ['"floats down a stream" of leaf, which gives no direction']),
        ("A man turns the lamp up", ['"turns the lamp up" of man, which gives no direction']),
        # Verbs whose object has a box, or can have none
        ("A cat and a dog both enjoying a quiet afternoon", ['"enjoying a quiet afternoon" (left to the video model)']),
        ("A dog bites a cat", ['"bites a cat" (left to the video model)']),
    ],
)
def test_words(prompt: str, said: list[str]) -> None:
    assert unsaid(prompt) == said


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("A ball falls and bounces", ['"bounces" of ball, which gives no direction']),
        ("A ball is falling and bouncing", ['"bouncing" of ball, which gives no direction']),
        ("A cat runs left and jumps over a box", ['"jumps over a box" of cat, which gives no direction']),
        ("A cat runs left and stops", ['"stops" of cat, which gives no direction']),
        ("A cat runs left and sits", ['"sits" of cat (left to the video model)']),
        ("The sun rises and sets", ['"sets" of sun, which gives no direction']),
        ("The sun sets", ['"sets" of sun, which gives no direction']),
        ("A sun setting over the sea", ['"setting over the sea" of sun, which gives no direction']),
        ("A car drives left then turns around", ['"turns around" of car, which gives no direction']),
        ("A dog chases a cat to the left", []),
        ("A robot moves right and then up", []),
        ("A cat leaps and runs left", []),
        ("To the left, a cat runs", []),
        ("A car drives right, wheels spinning", []),
        ("A man sets a ball down", ['"sets a ball down" (left to the video model)']),
    ],
)
def test_each_motion_after_the_first_is_planned_or_named(prompt: str, said: list[str]) -> None:
    assert unsaid(prompt) == said


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("A cat, but no dog", ['"no dog" (left to the video model)']),
        ("A cat without a dog", ['"without a dog" (left to the video model)']),
        ("A house with no cats or dogs", ['"no cats or dogs" (left to the video model)']),
        ("A dog runs left and no cats follow", ['"no cats follow" (left to the video model)']),
        ("A man without a hat walks left", ['"without a hat" (left to the video model)']),
    ],
)
def test_what_is_absent_is_named_once(prompt: str, said: list[str]) -> None:
    assert list(plan(prompt, aspect=ASPECT).left_out) == said


@pytest.mark.parametrize("verb", ["approaches", "arrives", "enters"])
def test_a_verb_is_understood_where_its_path_says_all_of_it(verb: str) -> None:
    assert plan(f"A car {verb} from the left", aspect=ASPECT).left_out == ()
    assert plan(f"A car {verb}", aspect=ASPECT).left_out == (f'"{verb}" (not understood)',)


def test_the_verb_after_a_relative_clause_is_understood() -> None:
    assert plan("A dog that barks runs left", aspect=ASPECT).left_out == ()


def test_a_verb_whose_object_is_named_is_not_named_again() -> None:
    reading = Reading("A dog bites a cat")
    dog, _ = reading.mentions
    assert things_left_out(reading, [dog]) == ["cat (no box, left to the video model)"]
    assert words_left_out(reading, find_motion(reading), [dog]) == []


def test_quotes_are_short() -> None:
    (text,) = unsaid("A cat sits " + "gribble " * 100)
    assert len(text) < 120


STILL = {  # what moves nothing, and what is said of it
    "The volunteers clean up a beach": ['"clean up" (left to the video model)'],
    "A candle burns down": ['"burns down" (left to the video model)'],
    "A house burning down": ['"burning down" (left to the video model)'],
    "The lamp lights up": ['"lights up" (left to the video model)'],
    "A street lamp lights up": ['"lights up" (left to the video model)'],
    "A man cleans up the table": ["table (no box, left to the video model)", '"cleans up" (left to the video model)'],
    "A tree grows up": ['"grows up" (left to the video model)'],
    "A man wakes up": ['"wakes up" (not understood)'],
    "A man speeds up": ['"speeds up" of man, which gives no direction'],
    "A man looks left": ['"looks left" (left to the video model)'],
    "A woman watering red rose": ['"rose" (not understood)'],
    "An elephant lifts weights": ['"lifts weights" (not understood)'],
    "A man falls asleep": ['"falls asleep" (not understood)'],
    "The dough rises from a ball into a loaf": None,
    "A man walks up to a door": None,
    "A bird zigzags across the sky": ['"zigzags" (not understood)'],
    "A dog circles around a tree": None,
    "A ball bounces": ['"bounces" of ball, which gives no direction'],
    "A horse runs towards the camera": ['"runs towards the camera" of horse, which gives no direction'],
    "A blue ball spins": ['"spins" of blue ball, which gives no direction'],
    "A frog on a rock, causing droplets to splash into the air": None,
}


@pytest.mark.parametrize("prompt", STILL)
def test_no_motion_is_made_up_and_none_is_dropped_in_silence(prompt: str) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert all(len(item.key_frames) == 1 for item in layout.objects)
    if STILL[prompt] is not None:
        assert list(layout.left_out) == STILL[prompt]
    else:
        assert layout.left_out


def test_a_motion_that_is_not_straight_is_said_where_its_direction_is_planned() -> None:
    layout = plan("A ball zigzags to the right", aspect=ASPECT)
    assert direction(layout, "ball") == "right"
    assert layout.left_out == ('"zigzags" (not understood)',)


def test_a_layout_names_each_word_that_it_does_not_show_once() -> None:
    words = plan("A zorbing gribble zorbs and zorbs in a garden", aspect=ASPECT).left_out
    assert len(words) == len(set(words))
