"""Captions in the style of T2V-CompBench: full ones state every fact of a scene, vague ones less than it shows."""

from __future__ import annotations

import random
import re

from ttom.emojiworld.editions import CURRENT, Edition
from ttom.emojiworld.facts import OPPOSITE_DIRECTION, Direction, Facts, Relation, Split, Subject
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import Scene
from ttom.emojiworld.words import UNKNOWN_WORD, Words

SINGULAR, GERUND, PLURAL = 0, 1, 2
"""Forms of a verb in the word tables."""


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


class Speaker:
    """Makes captions in the words of an edition, all choices from one generator."""

    def __init__(self, rng: random.Random, words: Words) -> None:
        self.rng, self.words = rng, words

    def full(self, scene: Scene) -> str:
        """A caption that states every fact of the scene."""
        facts = scene.facts
        text = self._relations(facts) if facts.relations else self._subjects(facts)
        return text + self.ending(scene)

    def _subjects(self, facts: Facts) -> str:
        """Subjects without relations: movers in clauses of their own, still things counted or in a list."""
        movers = [subject for subject in facts.subjects if subject.path]
        if movers:
            clauses = [f"{self.name(subject)} {self.verb_phrase(subject)}" for subject in facts.subjects]
            if len(clauses) == 1:
                return clauses[0]
            if len(clauses) == 2:
                return self.rng.choice((" while ", ", while ", " and ")).join(clauses)
            return ", ".join(clauses[:-1]) + self.rng.choice((" and ", ", and ", ", while ")) + clauses[-1]
        if facts.counts:
            return self._counts(facts)
        names = [self.name(subject) for subject in facts.subjects]
        comma = self.rng.choice((" and ", ", and ")) if len(names) > 2 else " and "
        return ", ".join(names[:-1]) + comma + names[-1] + self.rng.choice(("", "", f" {self._together()}"))

    def _together(self) -> str:
        return self.rng.choice(("together", "next to each other", "side by side"))

    def _counts(self, facts: Facts) -> str:
        phrases, verbs = [], []
        for subject in facts.subjects:
            phrases.append(self.name(subject))
            form = self.rng.choice((GERUND, SINGULAR if subject.count == 1 else PLURAL))
            verbs.append(self.verb(self.words.still[NOUNS[subject.noun].kind], form))
        if len(phrases) == 1:
            forms = (
                f"{phrases[0]} {verbs[0]}",
                phrases[0],
                f"there {'is' if facts.subjects[0].count == 1 else 'are'} {phrases[0]}",
            )
            return self.rng.choice((forms[0], *forms))
        joined = f"{phrases[0]} and {phrases[1]}"
        clauses = f"{phrases[0]} {verbs[0]}, and {phrases[1]} {verbs[1]} {self.rng.choice(self.words.nearby)}"
        return self.rng.choice((joined, clauses, clauses, f"{phrases[0]} {verbs[0]}, and {phrases[1]} {verbs[1]}"))

    def _relations(self, facts: Facts) -> str:
        clauses = []
        for number, relation in enumerate(facts.relations):
            first, second = facts.subjects[relation.first], facts.subjects[relation.second]
            if first.path:
                text = f"{self.name(first)} {self.verb_phrase(first)}"
                clauses.append(f"{text} {self._beside(relation)} {self.name(second)}")
                continue
            verb = self.verb(self.words.still[NOUNS[first.noun].kind], GERUND if first.count == 1 else PLURAL)
            still = self.rng.choice((verb + " ", ""))
            text = f"{self.name(first)} {still}{self._beside(relation)} "
            # The second time it is the same thing.
            clauses.append(text + (self.name(second) if not number else f"the {self.plain_name(second)}"))
        return self.rng.choice((" and ", ", and ", ", while ")).join(clauses) if len(clauses) > 1 else clauses[0]

    def _beside(self, relation: Relation) -> str:
        return self.rng.choice(self.words.beside["next to" if relation.loose else relation.side])

    def vague(self, scene: Scene) -> str:
        """A caption that says less than the picture shows, as captions on the web do."""
        subjects = scene.facts.subjects
        first = subjects[0]
        if first.count > 1:
            text = self.rng.choice(self.words.some).format(x=NOUNS[first.noun].plural)
        elif len(subjects) > 1 and not (first.path and scene.facts.relations) and self.rng.random() < 0.5:
            one = self.any_name(first)
            other = subjects[1]
            many = "some " + NOUNS[other.noun].plural
            text = f"{one} and {many if other.count > 1 else self.any_name(other)}"
        else:
            name = self.any_name(first)
            verb = self.verb(self.words.verbs[NOUNS[first.noun].kind], GERUND)
            text = f"{name} {self.rng.choice(('', verb))}".strip()
        return text + self.ending(scene)

    def name(self, subject: Subject) -> str:
        """A subject as a full caption names it: "a cat", "the big red car", "three dogs"."""
        if not subject.counted:
            return self.any_name(subject)
        number = self.words.numbers[subject.count]
        if subject.count == 1:
            return f"{number} {self.plain_name(subject)}"
        text = f"{number} {self._adjectives(subject)}{NOUNS[subject.noun].plural}"
        grouped = subject.count > 2 and len(self.words.groups) > 1
        return self.rng.choice(self.words.groups).format(x=text) if grouped else text

    def any_name(self, subject: Subject) -> str:
        """One thing, at times with an adjective that says nothing."""
        empty = "" if self.rng.random() > 0.2 else self.rng.choice(self.words.adjectives) + " "
        told = self._adjectives(subject)
        name = (told or empty) + NOUNS[subject.noun].name
        return self.rng.choice((_article(name),) * 6 + ("the " + name, "one " + name))

    def plain_name(self, subject: Subject) -> str:
        """The noun with what the facts say of it, without an article."""
        return self._adjectives(subject) + NOUNS[subject.noun].name

    def _adjectives(self, subject: Subject) -> str:
        size = self.rng.choice(self.words.sizes[subject.size]) + " " if subject.size else ""
        return size + (f"{subject.color} " if subject.color else "")

    def verb(self, verbs: tuple[str, ...], form: int) -> str:
        """One of the verbs in a form."""
        return self.rng.choice(verbs).split("/")[form]

    def verb_phrase(self, subject: Subject) -> str:
        """What a subject does: "rolls left", "are flying upwards", "gently descends", "sit"."""
        many = subject.count > 1
        plain = PLURAL if many else SINGULAR
        form = self.rng.choice((SINGULAR, SINGULAR, GERUND, GERUND, 2))  # 2: "is" and the gerund
        finite = plain if form == SINGULAR else GERUND
        if not subject.path:
            verb = self.verb(self.words.still[NOUNS[subject.noun].kind], finite)
            return verb if form != 2 or verb == "being" else f"{'are' if many else 'is'} {verb}"
        if subject.passage:
            phrase = self._passage(subject, finite)
        elif len(subject.path) > 1:
            phrase = self._turn(subject, finite)
        elif subject.zigzag:
            phrase = f"{self._moves(subject, subject.path[0], finite, bare=True)} in a zigzag"
        else:
            phrase = self._moves(subject, subject.path[0], finite)
        adverb = self.rng.choice(self.words.adverbs) + " " if self.rng.random() < 0.15 else ""
        return (f"{'are' if many else 'is'} " if form == 2 else "") + adverb + phrase

    def _moves(self, subject: Subject, direction: Direction, form: int, bare: bool = False) -> str:
        """Verb and direction; a verb of rising or falling needs no more, unless `bare` wants a verb of motion alone."""
        if not bare and direction in ("up", "down") and self.rng.random() < 0.5:
            verb = self.verb(self.words.up if direction == "up" else self.words.down, form)
            where = "" if self.rng.random() < 0.5 or " " in verb else " " + self.rng.choice(self.words.where[direction])
        else:
            verb = self.verb(self.words.verbs[NOUNS[subject.noun].kind], form)
            where = " " + self.rng.choice(self.words.where[direction])
        return verb + where

    def _turn(self, subject: Subject, form: int) -> str:
        """ "runs left and then back", "flies to the right, then up"."""
        first, second = subject.path
        text = self._moves(subject, first, form, bare=True)
        if second == OPPOSITE_DIRECTION[first] and self.rng.random() < 0.7:
            back = self.rng.choice(self.words.back)
            return text + " " + (back.replace("comes", "come") if subject.count > 1 else back)
        return text + self.rng.choice((" and then ", ", then ", " and ")) + self.rng.choice(self.words.where[second])

    def _passage(self, subject: Subject, form: int) -> str:
        """ "enters from the left", "flies out of the picture to the right"."""
        words, direction = self.words, subject.path[0]
        enters = subject.passage == "enters"
        if self.rng.random() < 0.5:
            verb = self.verb(words.enters if enters else words.leaves, form)
        else:
            verb = self.verb(words.verbs[NOUNS[subject.noun].kind], form)
            verb += " " + self.rng.choice(words.inwards if enters else words.outwards)
        return f"{verb} {self.rng.choice((words.come_from if enters else words.go_to)[direction])}"

    def ending(self, scene: Scene) -> str:
        """Scenery words, and at times words that mean nothing to the model."""
        text = ""
        if scene.scenery and self.rng.random() < 0.75:
            text = " " + self.rng.choice(self.words.scenery[scene.scenery])
        elif self.rng.random() < 0.08:
            text = f" {self.rng.choice(('in a', 'on the', 'across the', 'near a'))} {UNKNOWN_WORD}"
        if self.rng.random() < 0.08:
            text += self.rng.choice(self.words.tails).format(x=UNKNOWN_WORD)
        return text


def full_caption(rng: random.Random, scene: Scene, edition: Edition = CURRENT) -> str:
    """A caption that states every fact of the scene."""
    return Speaker(rng, edition.words).full(scene)


def vague_caption(rng: random.Random, scene: Scene, edition: Edition = CURRENT) -> str:
    """A caption that says less than the picture shows."""
    return Speaker(rng, edition.words).vague(scene)


def caption(rng: random.Random, scene: Scene, vague: float = 0.12, edition: Edition = CURRENT) -> str:
    """A training caption, vague at the given rate; sentence case and full stop vary."""
    text = (vague_caption if rng.random() < vague else full_caption)(rng, scene, edition)
    return text[0].upper() + text[1:] + rng.choice(("", "."))


def captioned_scene(
    rng: random.Random, split: Split, kind: str | None = None, vague: float = 0.12, edition: Edition = CURRENT
) -> tuple[Scene, str]:
    """A painted scene of the split and a caption of it."""
    scene = sample_scene(rng, split, kind, edition)
    paint(rng, scene)
    return scene, caption(rng, scene, vague, edition)


def forget(rng: random.Random, text: str, rate: float = 0.12, edition: Edition = CURRENT) -> str:
    """Replace some verbs, adverbs and adjectives by the stand-in for unknown words.

    For training: real prompts say "scampers" where the world only knows "runs". Nouns, numbers, colors, directions,
    relations and the verbs that alone tell a direction are kept.
    """
    replaceable = edition.words.replaceable
    return re.sub(
        r"[a-z]+", lambda word: UNKNOWN_WORD if word[0] in replaceable and rng.random() < rate else word[0], text
    )
