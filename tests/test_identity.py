"""What a case's identity depends on, and what not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from ttom.config import MemoryConfig, RuntimeConfig, Settings
from ttom.identity import identity, settings_hash
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan
from ttom.prepare import Request
from ttom.presets import emojiworld

CASE = Request("A cat above a dog", 0, "ttom", None, emojiworld())


def changed(settings: Settings, group: str, **fields: object) -> Settings:
    return replace(settings, **{group: replace(getattr(settings, group), **fields)})


def test_the_hash_of_settings_depends_on_what_decides_the_video() -> None:
    base = emojiworld()
    same = [
        changed(base, "planner", timeout=5.0),
        changed(base, "planner", cache_dir="elsewhere"),
        changed(base, "memory", top_k=3),  # no memory in use
    ]
    assert {settings_hash(settings) for settings in [base, *same]} == {settings_hash(base)}
    with_memory = replace(base, memory=MemoryConfig(path="a"))
    assert settings_hash(with_memory) == settings_hash(replace(base, memory=MemoryConfig(path="b")))
    others = [
        with_memory,
        changed(with_memory, "memory", top_k=3),
        changed(base, "tto", lr=1.0),
        changed(base, "sampler", steps=26),
        changed(base, "planner", seed=1),
    ]
    assert len({settings_hash(settings) for settings in [base, *others]}) == 6


def test_identity_depends_on_the_content_of_a_given_layout() -> None:
    layout = plan("A cat above a dog", aspect=1.5, seed=0)
    moved = plan("A cat below a dog", aspect=1.5, seed=0)
    noted = layout.model_copy(update={"notes": ("edited by hand",), "source": "file"})

    def of(layout: Layout | None, seed: int = 0) -> str:
        return identity(Request("A cat above a dog", seed, "ttom", layout, emojiworld()), "digest")

    assert of(layout) == of(noted)
    assert len({of(layout), of(moved), of(None), of(layout, seed=1)}) == 4


def test_identity_of_the_plain_case_stays() -> None:
    """Folders of earlier runs are found by it."""
    values = ["A cat above a dog", 0, "ttom", None, settings_hash(CASE.settings), "digest"]
    assert identity(CASE, "digest") == hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def test_identity_depends_on_the_check_only_where_it_chooses() -> None:
    assert identity(replace(CASE, check="off"), "digest") == identity(CASE, "digest")
    several = [replace(CASE, tries=tries, check=check) for tries in (2, 3) for check in ("auto", "grounding")]
    assert len({identity(request, "digest") for request in [CASE, *several]}) == 5


def test_identity_depends_on_what_changes_pixels() -> None:
    plain = identity(CASE, "digest")
    same = RuntimeConfig(checkpointing=True, offload=True, resident_blocks=2)
    assert identity(CASE, "digest", "auto", same) == plain
    others = [
        identity(CASE, "digest", "bfloat16"),
        identity(CASE, "digest", "float32"),
        identity(CASE, "digest", "auto", RuntimeConfig(fp8=True)),
        identity(CASE, "digest", "auto", RuntimeConfig(vae_tiling=True)),
        identity(CASE, "digest", "auto", RuntimeConfig(fp8=True, vae_tiling=True)),
    ]
    assert len({plain, *others}) == 6
