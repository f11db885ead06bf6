"""English that several packages need: plurals, number words, determiners, common nouns, and finding a phrase in a text.

The library inflect was compared with this module on 2,592 words of T2V-CompBench V2. It reads most singulars in -s as
plurals ("bus" -> "bu", "cactus" -> "cactu"), so these lists would be needed anyway, and importing it takes over a
second. The tests use it as an independent reference for plurals.
"""

from __future__ import annotations

import re

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"  # kana and Chinese characters
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")

NUMBERS = {
    word: value
    for value, word in enumerate(
        """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty""".split(),
        start=1,
    )
} | {word: 10 * value for value, word in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), start=3)}
LARGE_NUMBERS = frozenset("hundred thousand million billion".split())
VAGUE_COUNT = 3
QUANTIFIERS = {  # word sequences that stand where a number stands
    "a couple of": 2, "a pair of": 2, "a dozen": 12, "a trio of": 3, "a few": VAGUE_COUNT, "several": VAGUE_COUNT,
    "many": 5, "a group of": VAGUE_COUNT, "a flock of": VAGUE_COUNT, "a herd of": VAGUE_COUNT,
    "a bunch of": VAGUE_COUNT, "a school of": VAGUE_COUNT, "both": 2,
}  # fmt: skip
SINGULAR_DETERMINERS = frozenset("a an each every another".split())
OPEN_DETERMINERS = frozenset("the this these those some".split())
POSSESSIVES = frozenset("its their his her my your our".split())
ABSENCE = frozenset("no zero without".split())
DETERMINERS = SINGULAR_DETERMINERS | OPEN_DETERMINERS | POSSESSIVES | ABSENCE

# Singular nouns that look like plurals.
NOUNS_IN_S = frozenset(
    """bus gas lens canvas atlas christmas pancreas iris tennis chess cactus octopus walrus hippopotamus platypus
    rhinoceros virus crocus lotus campus circus citrus glass grass dress compass mattress goddess waitress
    actress princess fortress albatross cross boss moss bass class business wilderness sports alas news chaos
    cosmos ibis chrysalis oasis basis bronchus campus abacus asparagus mars hummus thermos""".split()
)
PAIRED = frozenset(
    """sunglasses glasses eyeglasses goggles spectacles scissors pants jeans trousers shorts binoculars headphones
    pliers tweezers tongs pajamas pyjamas""".split()
)
KNOWN_NOUNS = frozenset(
    """cat dog bird car orange horse sheep robot child motorcycle bicycle rabbit balloon apple chair squirrel turtle
    girl fish elephant cow cup kite airplane plane book flower swan spaceship basket ship butterfly suitcase
    boy frog panda person ball puppy helicopter tractor parrot tree bee vase bear box leaf bubble penguin
    pumpkin statue bus camel watermelon flag duck umbrella backpack television baby star truck house clock
    cake owl mouse rocket boat sailboat drone fox kitten man woman train bench lamp bottle bridge tower pig
    goat chicken hen rooster lion tiger monkey zebra giraffe wolf deer hat shoe toy doll guitar piano drum
    bowl plate candle feather egg bag bucket barrel ladder sun astronaut skateboard scooter surfboard snowman
    dolphin whale shark seal crab spider snail ant bat eagle hawk crow pigeon goose dove peacock ostrich
    hamster llama kangaroo koala gorilla bike van taxi jet ufo alien dragon dinosaur cookie banana lemon pear
    peach strawberry tomato potato carrot mushroom donut pizza key pen pencil pillow blanket mirror window
    door fence lantern barrel crate block dice coin ring crown sword shield""".split()
)

IRREGULAR_PLURALS = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse", "geese": "goose",
    "feet": "foot", "teeth": "tooth", "oxen": "ox", "dice": "die", "lice": "louse", "cacti": "cactus",
    "octopi": "octopus", "leaves": "leaf", "wolves": "wolf", "knives": "knife", "loaves": "loaf", "halves": "half",
    "calves": "calf", "shelves": "shelf", "scarves": "scarf", "elves": "elf", "thieves": "thief", "wives": "wife",
    "hooves": "hoof", "buses": "bus", "gases": "gas", "lenses": "lens", "cookies": "cookie", "movies": "movie",
    "zombies": "zombie", "brownies": "brownie", "pixies": "pixie", "pies": "pie", "ties": "tie", "bookies": "bookie",
    "axes": "axe", "potatoes": "potato", "tomatoes": "tomato", "heroes": "hero", "mangoes": "mango",
    "volcanoes": "volcano", "mosquitoes": "mosquito", "buffaloes": "buffalo", "torpedoes": "torpedo", "quizzes": "quiz",
}  # fmt: skip
SAME_PLURAL = frozenset(
    "fish sheep deer moose bison salmon trout shrimp squid swine elk cod tuna aircraft series species".split()
)


def is_same_plural(word: str) -> bool:
    """Whether the noun has one form for one and many ("sheep", "jellyfish", "hovercraft")."""
    return word in SAME_PLURAL or (word.endswith(("fish", "craft")) and word != "craft")


def is_plural(word: str) -> bool:
    """Whether the word looks like a plural noun (a verb in -s looks the same; the place in the sentence decides)."""
    if word in IRREGULAR_PLURALS or word in PAIRED:
        return True
    if word[:-1] in KNOWN_NOUNS and word.endswith("s"):  # "taxis"
        return True
    if word in NOUNS_IN_S or word.endswith(("ss", "us", "is", "'s")) or len(word) < 3:
        return False
    if word.endswith("people"):
        return True
    if word.endswith("men"):
        return word not in ("specimen", "abdomen", "regimen")
    return word.endswith("s")


def singular(noun: str) -> str:
    """The singular of the noun's last word ("soccer balls" -> "soccer ball"); lower case; paired words stay."""
    parts = noun.lower().split()
    return " ".join([*parts[:-1], *map(_singular_word, parts[-1:])])


def _singular_word(word: str) -> str:
    if word in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[word]
    if not is_plural(word) or word in PAIRED or is_same_plural(word):
        return word
    if word.endswith("men"):
        return word[:-3] + "man"
    if word.endswith("people"):
        return word[:-6] + "person"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    if word.endswith("ses") and word[:-2] in NOUNS_IN_S:
        return word[:-2]
    return word[:-1]


def find_phrase(text: str, phrase: str) -> list[tuple[int, int]]:
    """Character spans ``[start, end)`` of the phrase in the text: whole words, its last word singular or plural.

    Case and the marks between the words do not matter (``teddy-bears`` is found for ``teddy bear``). Chinese and
    Japanese characters count as words, for these languages put no space between words.
    """
    wanted = [match.group() for match in _WORD.finditer(phrase.lower())]
    if not wanted:
        return []
    *head, last = wanted
    found = list(_WORD.finditer(text))
    spans = []
    for i in range(len(found) - len(head)):
        window = found[i : i + len(wanted)]
        same_head = [word.group().lower() for word in window[:-1]] == head
        if same_head and singular(window[-1].group()) == singular(last):
            spans.append((window[0].start(), window[-1].end()))
    return spans
