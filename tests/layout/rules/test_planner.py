"""The rules planner on prompts of our own: what it reads, and where it puts the boxes."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.layout.seen import ASPECT, TIMES, boxes, center, direction, overlap, summary
from ttom.errors import UserError
from ttom.layout.model import Layout, check_layout
from ttom.layout.rules.planner import plan

MOTION = {
    "A balloon moves from left to right above a house": {"balloon": "right", "house": "still"},
    "A purple kite drifts from the right edge of the screen to the left edge": {"purple kite": "left"},
    "An otter swimming leftwards in a river": {"otter": "left"},
    "A golden hamster scurrying rightward": {"golden hamster": "right"},
    "A submarine sinks": {"submarine": "down"},
    "A tortoise shuffles to the left of the screen": {"tortoise": "left"},
    "Acorn drops from an oak": {"acorn": "down"},
    "A yellow taxi speeds right past a parked van": {"yellow taxi": "right", "parked van": "still"},
    "A mole sneaks past a napping hen from left to the right in the yard": {"mole": "right", "napping hen": "still"},
    "The bus drives left down the street": {"bus": "left"},
    "A barrel rolls left while a goat dashes right": {"barrel": "left", "goat": "right"},
    "A lantern rises upward, while a stone falls downward": {"lantern": "up", "stone": "down"},
    "A plate falling downward and a golf ball is thrown upward": {"plate": "down", "golf ball": "up"},
    "A tram going left to right with a horse trotting right to left in the background": {
        "tram": "right",
        "horse": "left",
    },
    "A strong breeze lifts a paper plane into the sky": {"paper plane": "up"},
    "A girl throws a ball upward": {"girl": "still", "ball": "up"},
    "A falling leaf in a park": {"falling leaf": "down"},
    "A monkey climbs up the ladder": {"monkey": "up"},
    "A seal slides down a snowy slope": {"seal": "down"},
    "A plane takes off into the sky": {"plane": "up"},
    "From top to bottom, a spider lowers on its thread": {"spider": "down"},
    "A lion roars while walking rightwards": {"lion": "right"},
    "A small fluffy cat and a big brown dog walk to the right": {"small fluffy cat": "right", "big brown dog": "right"},
    "A robot with a red hat walks to the left": {"robot": "left"},
    "Two dogs run left while a bird flies upwards": {"dogs": "left", "bird": "up"},
    "Three toy cars drive to the right, and a bus stands still": {"toy cars": "right", "bus": "still"},
    "A dove flaps its wings and soars upward over the chapel": {"dove": "up", "chapel": "still"},
    "A video of a turtle crawling leftward": {"turtle": "left"},
    "A sleek running shoe tumbles off a shelf": {"sleek running shoe": "down"},
}


@pytest.mark.parametrize("prompt", MOTION)
def test_motion(prompt: str) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert {phrase: direction(layout, phrase) for phrase in summary(layout)} == MOTION[prompt]


RELATIONS = {
    "A heron standing on the left of a canoe": ("heron", "left", "canoe"),
    "An owl to the right of an old barn in a valley": ("owl", "right", "old barn"),
    "A mole sleeping on the right side of a vending machine": ("mole", "right", "vending machine"),
    "On the left of a lamp, a cat sleeps": ("cat", "left", "lamp"),
    "To the right of a vase is a clock": ("clock", "right", "vase"),
    "A cat on the left and a dog on the right": ("cat", "left", "dog"),
    "A lamp hanging above a piano in a busy hall": ("lamp", "above", "piano"),
    "A banner tied to a mast above a sailor": ("banner", "above", "sailor"),
    "clouds drifting above a kite": ("clouds", "above", "kite"),
    "A parrot sitting on a barrel on a sunny beach": ("parrot", "above", "barrel"),
    "A puppy reading a map on top of a cushion": ("puppy", "above", "cushion"),
    "A goat resting under a wooden cart": ("goat", "below", "wooden cart"),
    "A crab beneath a parasol": ("crab", "below", "parasol"),
    "A drone hovering over a car": ("drone", "above", "car"),
    "A lantern hanging from a tree": ("lantern", "below", "tree"),
    "Four sheep graze below a hot air balloon": ("sheep", "below", "hot air balloon"),
    "Two foxes on the left of three hens": ("foxes", "left", "hens"),
}


@pytest.mark.parametrize("prompt", RELATIONS)
def test_relations(prompt: str) -> None:
    subject, kind, reference = RELATIONS[prompt]
    layout = plan(prompt, aspect=ASPECT)
    assert set(summary(layout)) == {subject, reference}
    (xs, ys), (xr, yr) = center(layout, subject), center(layout, reference)
    dx, dy = xs - xr, ys - yr
    found = ("left" if dx < 0 else "right") if abs(dx) > abs(dy) else ("above" if dy < 0 else "below")
    assert found == kind


COUNTS = {
    "Seven herons wade in the shallows.": {"herons": 7},
    "12 ducks on a pond": {"ducks": 12},
    "Two wolves and 5 geese": {"wolves": 2, "geese": 5},
    "Three people dance, and one child claps": {"people": 3, "child": 1},
    "Six sheep graze near two oxen": {"sheep": 6, "oxen": 2},
    "There are three red apples and two green pears on a wooden table": {"red apples": 3, "green pears": 2},
    "One boat sails away, and four seagulls circle above.": {"boat": 1, "seagulls": 4},
    "Four toy cars": {"toy cars": 4},
    "Two teddy bears sit together": {"teddy bears": 2},
    "A pair of scissors": {"scissors": 1},
    "A pair of boots": {"boots": 2},
    "Several mice": {"mice": 3},
    "a cat, a dog and a horse in a field": {"cat": 1, "dog": 1, "horse": 1},
    "a cat in a garden": {"cat": 1},
    "an apple": {"apple": 1},
    "Two fish swim past the reef": {"fish": 2},
}


@pytest.mark.parametrize("prompt", COUNTS)
def test_counts(prompt: str) -> None:
    assert summary(plan(prompt, aspect=ASPECT)) == COUNTS[prompt]


@pytest.mark.parametrize(
    ("prompt", "noun"),
    [
        ("three butterflies", "butterfly"),
        ("two boxes", "box"),
        ("two buses", "bus"),
        ("two leaves", "leaf"),
        ("four children", "child"),
        ("two horses", "horse"),
        ("five women", "woman"),
        ("two goldfish", "goldfish"),
        ("three soccer balls", "soccer ball"),
        ("two vases", "vase"),
        ("two cherries", "cherry"),
        ("two shoes", "shoe"),
    ],
)
def test_plurals(prompt: str, noun: str) -> None:
    assert {item.noun for item in plan(prompt, aspect=ASPECT).objects} == {noun}


ALL_PROMPTS = [*MOTION, *RELATIONS, *COUNTS]


@pytest.mark.parametrize("aspect", [0.5625, 1.0, 1.5, 832 / 480, 2.4])
def test_boxes_are_square_inside_and_apart(aspect: float) -> None:
    for prompt, seed in itertools.product(ALL_PROMPTS, (0, 7)):
        layout = plan(prompt, aspect=aspect, seed=seed)
        check_layout(layout, prompt)
        for time in TIMES:
            all_boxes = [item.box_at(time) for item in layout.objects]
            assert all(all_boxes), prompt
            for a, b in itertools.combinations([box for box in all_boxes if box is not None], 2):
                assert overlap(a, b) == 0, (prompt, aspect, time)
            for box in all_boxes:
                assert box is not None
                assert box.width * aspect == pytest.approx(box.height, rel=0.02), prompt


@pytest.mark.parametrize("count", range(1, 25))
def test_any_count_fits_without_overlap(count: int) -> None:
    layout = plan(f"{count} robots", aspect=ASPECT)
    all_boxes = [item.key_frames[0].box for item in layout.objects]
    assert len(all_boxes) == count
    assert all(overlap(a, b) == 0 for a, b in itertools.combinations(all_boxes, 2))


def test_sizes_and_ways() -> None:
    single = plan("a cat", aspect=ASPECT).objects[0].key_frames[0].box
    assert 0.25 <= single.width <= 0.30
    assert 0.375 <= single.height <= 0.45
    six = plan("six cats", aspect=ASPECT).objects[0].key_frames[0].box
    assert 0.27 <= six.height <= 0.33
    rolling = plan("a ball rolls left", aspect=ASPECT)
    assert center(rolling, "ball", 0.0)[0] == pytest.approx(0.82, abs=0.03)
    assert center(rolling, "ball", 1.0)[0] == pytest.approx(0.18, abs=0.03)
    rising = plan("a balloon rises", aspect=ASPECT)
    assert center(rising, "balloon", 0.0)[1] == pytest.approx(0.78, abs=0.03)
    assert center(rising, "balloon", 1.0)[1] == pytest.approx(0.22, abs=0.03)


@pytest.mark.parametrize(("words", "sign"), [("above", -1), ("over", -1), ("below", 1), ("beneath", 1)])
@pytest.mark.parametrize("motion", ["glides from right to left", "rises", "descends"])
def test_a_mover_stays_above_or_below_its_reference(words: str, sign: int, motion: str) -> None:
    layout = plan(f"A drone {motion} {words} a lighthouse", aspect=ASPECT)
    for time in TIMES:
        drone, house = boxes(layout, "drone", time)[0], boxes(layout, "lighthouse", time)[0]
        assert (drone.y0 >= house.y1) if sign > 0 else (drone.y1 <= house.y0)


@pytest.mark.parametrize("words", ["in front of", "behind"])
def test_depth_overlaps_a_little(words: str) -> None:
    layout = plan(f"A fox {words} a wheelbarrow", aspect=ASPECT)
    fox, barrow = boxes(layout, "fox", 0.5)[0], boxes(layout, "wheelbarrow", 0.5)[0]
    share = overlap(fox, barrow) / (fox.width * fox.height)
    assert 0.1 < share < 0.5
    assert (fox.y1 > barrow.y1) == (words == "in front of"), "the nearer one stands lower"


def test_the_goal_waits_at_the_far_end() -> None:
    layout = plan("A frisbee flies left towards a waiting child", aspect=ASPECT)
    assert center(layout, "waiting child")[0] < 0.4


def test_a_touching_on() -> None:
    layout = plan("A vase on a stool", aspect=ASPECT)
    vase, stool = boxes(layout, "vase", 0.5)[0], boxes(layout, "stool", 0.5)[0]
    assert 0 <= stool.y0 - vase.y1 < 0.03


def test_same_seed_same_layout_other_seed_other_layout() -> None:
    prompt = "Two cats chase mice while a kite rises"
    assert plan(prompt, aspect=ASPECT, seed=3) == plan(prompt, aspect=ASPECT, seed=3)
    first, second = plan(prompt, aspect=ASPECT, seed=3), plan(prompt, aspect=ASPECT, seed=4)
    assert first.objects != second.objects
    for a, b in zip(first.objects, second.objects, strict=True):
        shift = max(abs(p - q) for p, q in zip(a.key_frames[0].box.center, b.key_frames[0].box.center, strict=True))
        assert shift < 0.05, "the jitter is small"


def test_notes_quote_the_words() -> None:
    notes = plan("A balloon moves from left to right above a house", aspect=ASPECT).notes
    assert 'balloon: direction right: "from left to right"' in notes
    assert 'balloon: above house: "above"' in notes
    assert 'dogs: count 3: "three"' in plan("Three dogs", aspect=ASPECT).notes
    assert any("one box for all" in note for note in plan("Clouds in the sky above a kite", aspect=ASPECT).notes)


def test_ids_phrases_and_source() -> None:
    layout = plan("Two Red Kites and a kite", aspect=ASPECT)
    assert [(item.id, item.phrase, item.noun) for item in layout.objects] == [
        ("kite-1", "Red Kites", "kite"),
        ("kite-2", "Red Kites", "kite"),
        ("kite-3", "kite", "kite"),
    ]
    assert layout.source == "rules"


@pytest.mark.parametrize("aspect", [0.0, -1.0, float("nan"), float("inf")])
def test_a_wrong_aspect_is_refused(aspect: float) -> None:
    with pytest.raises(UserError, match="aspect is"):
        plan("a cat", aspect=aspect)


@pytest.mark.parametrize(("number", "count"), [("twenty-two", 22), ("twenty two", 22), ("twenty", 20), ("24", 24)])
def test_numbers_above_twenty(number: str, count: int) -> None:
    assert len(plan(f"{number} cats", aspect=ASPECT).objects) == count


def test_what_is_said_to_be_absent_gets_no_box() -> None:
    assert [item.noun for item in plan("A dog runs left and no cats follow", aspect=ASPECT).objects] == ["dog"]
    assert summary(plan("A house with no cats or dogs", aspect=ASPECT)) == {"house": 1}
    assert direction(plan("A man without a hat falls", aspect=ASPECT), "man") == "down"


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("A grandmother with her grandson, both enjoying a quiet afternoon", {"grandmother": 1}),
        ("A cat and a dog both enjoying a quiet afternoon", {"cat": 1, "dog": 1}),
        ("A cat and a dog both watch a bird", {"cat": 1, "dog": 1}),
        ("A timelapse of a flower opening", {"flower": 1}),
        ("A watercolor of a house", {"house": 1}),
        ("A pack of wolves howl", {"wolves": 1}),
        ("A piece of bread", {"bread": 1}),
        ("A bottle of wine", {"bottle": 1}),
        ("Knife sharpens pencil in a kitchen", {"knife": 1}),
        ("Street performers dance", {"street performers": 1}),
        ("Red toaster toasting bread beside a window", {"red toaster": 1, "window": 1}),
        ("A 5-year-old boy waves", {"5-year-old boy": 1}),
        ("A boy is a doctor", {"boy": 1}),
        ("A flamingo balances on one leg", {"flamingo": 1}),
        ("Friends collaborate on a project", {"friends": 1}),
    ],
)
def test_what_gets_a_box(prompt: str, shown: dict[str, int]) -> None:
    assert summary(plan(prompt, aspect=ASPECT)) == shown


def test_what_flies_is_above_what_does_not() -> None:
    for prompt in ("A car drives right while a bird flies left", "A bird flies left while a car drives right"):
        layout = plan(prompt, aspect=ASPECT)
        assert center(layout, "bird")[1] < center(layout, "car")[1] - 0.3
    layout = plan("A fish swims in a tank and a boat floats above", aspect=ASPECT)
    assert center(layout, "boat")[1] < center(layout, "fish")[1] - 0.3
    layout = plan("A kite soars in the sky while a dog chases a ball", aspect=ASPECT)
    assert center(layout, "kite")[1] < min(center(layout, "dog")[1], center(layout, "ball")[1]) - 0.3
    below = plan("A bird flies left below a car that drives right", aspect=ASPECT)
    assert center(below, "bird")[1] > center(below, "car")[1], "what is said goes before what is usual"


@pytest.mark.parametrize(("way", "sign"), [("to the right", 1), ("to the left", -1)])
def test_who_chases_runs_behind(way: str, sign: int) -> None:
    layout = plan(f"A dog chases a cat {way}", aspect=ASPECT)
    for time in TIMES:
        dog, cat = center(layout, "dog", time), center(layout, "cat", time)
        assert (cat[0] - dog[0]) * sign > 0.2
        assert abs(cat[1] - dog[1]) < 0.05
    still = plan("A dog chases a cat", aspect=ASPECT)
    assert abs(center(still, "dog")[1] - center(still, "cat")[1]) < 0.05


_FUZZ = (
    "a an the two three twenty both each other its no dog cats red 3D glass of on to from in left right up down top "
    "bottom then and back before while as with above under between past off into is are not moves falling rises chases "
    "throws zorbs glittering quickly , . sky camera picture corner side away towards diagonally timelapse"
).split()


@pytest.mark.parametrize("seed", range(40))
def test_any_words_give_a_valid_layout_or_a_message(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(25):
        prompt = " ".join(rng.choices(_FUZZ, k=rng.randint(1, 24)))
        try:
            layout = plan(prompt, aspect=rng.choice([0.5, 1.0, 1.5, 2.4]), seed=seed)
        except UserError as error:
            assert error.expected, prompt
            continue
        check_layout(layout, prompt)
        assert Layout.model_validate_json(layout.model_dump_json()) == layout
        paths = {frame.time for item in layout.objects for frame in item.key_frames}
        assert paths <= {0.0, 1 / 3, 0.5, 2 / 3, 1.0}, prompt
