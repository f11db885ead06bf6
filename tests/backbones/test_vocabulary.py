"""Finding a phrase's tokens: word-piece and SentencePiece-like tokenizers, plurals, splits, cuts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.tiny import tiny_tokenizer
from ttom.backbones import Vocabulary, load_backbone, load_vocabulary
from ttom.backbones.vocabulary import clean_wan_prompt
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError


def tokens(backbone: WanBackbone, prompt: str, phrase: str, length: int = 20) -> list[str]:
    positions = backbone.vocabulary.phrase_tokens(prompt, phrase, length)
    ids = backbone.pipe.tokenizer(prompt, padding="max_length", max_length=length, truncation=True).input_ids
    return [backbone.pipe.tokenizer.convert_ids_to_tokens(ids[i]) for i in positions]


def test_positions_are_those_of_the_encoded_prompt(tiny: WanBackbone) -> None:
    assert tokens(tiny, "A dog above two dogs and a redhouse.", "dog") == ["dog", "dog", "##s"]
    assert tokens(tiny, "A dog above a redhouse.", "redhouse") == ["red", "##house"]
    assert tokens(tiny, "Two red balloons and a balloon", "red balloon") == ["red", "balloon", "##s"]
    assert tiny.vocabulary.phrase_tokens("A dog above two dogs", "dog", 20) == [1, 4, 5]


def test_the_prompt_is_cleaned_first(tiny: WanBackbone) -> None:
    find = tiny.vocabulary.phrase_tokens
    assert find("two   dogs &amp;  a   cat", "cat", 20) == find("two dogs & a cat", "cat", 20)


def test_errors_name_the_phrase(tiny: WanBackbone) -> None:
    with pytest.raises(UserError, match="'bus' does not occur"):
        tiny.vocabulary.phrase_tokens("a dog", "bus", 20)
    with pytest.raises(UserError, match="'cat' is cut off.*5 tokens"):
        tiny.vocabulary.phrase_tokens("a dog above a cat", "cat", 5)
    assert tiny.vocabulary.phrase_tokens("a dog above a dog", "dog", 5) == [1]  # the first occurrence is left


def test_words_without_a_token_are_left_out_of_a_phrase(tiny: WanBackbone) -> None:
    prompt = "A crimson dog and a zebra"
    assert tiny.vocabulary.phrase_tokens(prompt, "crimson dog", 12) == tiny.vocabulary.phrase_tokens(prompt, "dog", 12)
    assert len(tiny.vocabulary.phrase_tokens(prompt, "zebra", 12)) == 1  # it has no others


def test_what_is_cut_off(tiny: WanBackbone) -> None:
    """Of eight tokens and one that ends the text."""
    prompt = "two dogs and a red balloon."
    assert tiny.vocabulary.cut_off(prompt, 9) == "" and tiny.vocabulary.cut_off(prompt, 64) == ""
    assert tiny.vocabulary.cut_off(prompt, 8) == ""  # a full stop is no loss
    assert tiny.vocabulary.cut_off(prompt, 7) == "balloon." and tiny.vocabulary.cut_off(prompt, 5) == "a red balloon."


def test_unknown_and_known_words(tiny: WanBackbone) -> None:
    assert tiny.vocabulary.unknown_words("A zebra, two dogs, a zebra and a Giraffe!") == ["zebra", "Giraffe"]
    known = tiny.vocabulary.known_words()
    assert {"dog", "balloon"} <= set(known) and known == sorted(known)
    assert not any(word.startswith(("#", "[")) or word == "." for word in known)


def test_sentencepiece_like_tokenizer() -> None:
    """As umt5's: a unigram model whose tokens begin with the space before the word."""
    pieces = [
        "<pad>",
        "</s>",
        "<unk>",
        "\u2581a",
        "\u2581dog",
        "\u2581",
        "d",
        "o",
        "g",
        "s",
        "\u2581red",
        "\u2581ball",
        "oon",
        "and",
    ]
    tokenizer = Tokenizer(models.Unigram([(p, -float(i)) for i, p in enumerate(pieces)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    text = "a red balloon and a dog"
    ids = fast(text).input_ids
    vocabulary = Vocabulary.of(fast)
    for phrase, expected in (("red balloon", ["\u2581red", "\u2581ball", "oon"]), ("dogs", ["\u2581dog"])):
        positions = vocabulary.phrase_tokens(text, phrase, 16)
        assert [fast.convert_ids_to_tokens(ids[i]) for i in positions] == expected
    assert vocabulary.unknown_words("a zebra") == [] and vocabulary.known_words() == []


def test_padding_on_the_left() -> None:
    fast = tiny_tokenizer()
    fast.padding_side = "left"
    ids = fast("a red dog", padding="max_length", max_length=10).input_ids
    assert Vocabulary.of(fast).phrase_tokens("a red dog", "dog", 10) == [ids.index(fast.vocab["dog"])] == [8]


def test_the_pipelines_tokenizer_is_left_as_it_is() -> None:
    fast = tiny_tokenizer()
    fast("a dog", padding="max_length", max_length=9, truncation=True)
    before = fast.backend_tokenizer.to_str()
    vocabulary = Vocabulary.of(fast)
    vocabulary.phrase_tokens("a dog", "dog", 4)
    assert vocabulary.cut_off("a dog above a cat", 4) == "a cat"
    assert fast.backend_tokenizer.to_str() == before


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(UserError, match="(?s)is a object.*fast tokenizer"):
        Vocabulary.of(object())


@pytest.mark.parametrize(
    "text", ["a  dog \n and\ta cat ", "a dog &amp;amp; a cat", "cafÃ© l’été", "\u201ca\u201d dog\u00a0there", ""]
)
def test_prompts_are_cleaned_as_diffusers_does(text: str) -> None:
    assert clean_wan_prompt(text) == prompt_clean(text)


PROMPTS = ("A zebra  and two dogs &amp; a red balloon move left", "A robot to the right of a chair", "two dogs")


@pytest.mark.parametrize("model", ["emojiworld-wan", "emojiworld-cogvideox", "tiny"])
def test_the_vocabulary_from_files_equals_that_of_the_loaded_model(model: str, tiny_folder: Path) -> None:
    name = str(tiny_folder) if model == "tiny" else model
    light = load_vocabulary(name)
    whole = load_backbone(name, device="cpu").vocabulary
    assert light is not None and light.known_words() == whole.known_words() != []
    assert light.clean is whole.clean and light.unknown == whole.unknown
    for prompt in PROMPTS:
        assert light.unknown_words(prompt) == whole.unknown_words(prompt)
        for length in (4, 16):
            assert light.cut_off(prompt, length) == whole.cut_off(prompt, length)
    assert light.phrase_tokens(PROMPTS[0], "dogs", 16) == whole.phrase_tokens(PROMPTS[0], "dogs", 16)


def test_models_without_a_light_vocabulary(tmp_path: Path, tiny_folder: Path) -> None:
    assert load_vocabulary("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") is None
    assert load_vocabulary("no such model") is None
    assert load_vocabulary(str(tmp_path)) is None
    broken = shutil.copytree(tiny_folder, tmp_path / "broken")
    (broken / "tokenizer" / "tokenizer.json").write_text("{")
    assert load_vocabulary(str(broken)) is None


def test_unknown_words_need_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\nfrom ttom.backbones import load_vocabulary\n"
        "print(load_vocabulary('emojiworld-wan').unknown_words('a zebra and a quokka'))\n"
        "print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['zebra', 'quokka']", "[]"]
