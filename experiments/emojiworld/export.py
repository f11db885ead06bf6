"""Write the trained parts as a plain diffusers folder in fp16: python -m experiments.emojiworld.export --vae ...
--transformer ... --out ttom/checkpoints/emojiworld-wan [--family cogvideox]

The folder gets a model card, ttom.json, with the nouns of the edition of the world that the model was trained on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.models import build_tokenizer
from experiments.emojiworld.train_transformer import NORMALIZATION, LatentEncoder, TextToVideo, load_vae
from ttom.checkpoints import card as card_file
from ttom.emojiworld.editions import SECOND, Edition
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH


def build_pipeline(vae_folder: Path, transformer_folder: Path, family: Family = FAMILIES["wan"]) -> DiffusionPipeline:
    """The family's stock pipeline with the averaged weights of both trainings, in float32."""
    vae: Any = load_vae(vae_folder, family)
    vae.register_to_config(**_normalization(vae_folder, transformer_folder, family))
    model = TextToVideo(family)
    model.load(transformer_folder)
    return family.pipeline(
        tokenizer=build_tokenizer(),
        text_encoder=model.text_encoder.eval(),
        transformer=model.transformer.eval(),
        vae=vae.eval(),
        scheduler=family.build_scheduler(),
    )


def _normalization(vae_folder: Path, transformer_folder: Path, family: Family) -> dict[str, Any]:
    """That with which the transformer was trained."""
    file = transformer_folder / NORMALIZATION
    if file.exists():
        return json.loads(file.read_text())
    return LatentEncoder(vae_folder, "cuda" if torch.cuda.is_available() else "cpu", family).normalization


def write_card(folder: Path, family: str, edition: Edition = SECOND) -> None:
    """The model card; see ttom/checkpoints/card.py."""
    preset = "emojiworld" if family == "wan" else f"emojiworld-{family}"
    size = {"frames": FRAMES, "height": HEIGHT, "width": WIDTH}
    nouns = sorted(noun.name for noun in edition.nouns)
    card = {"version": card_file.VERSION, "preset": preset, **size, "nouns": nouns}
    (folder / card_file.NAME).write_text(json.dumps(card, indent=1) + "\n")


def name_tokenizer_class(folder: Path) -> None:
    """Name the tokenizer's public class: transformers 5 writes an internal one that older versions do not know."""
    for file in (folder / "model_index.json", folder / "tokenizer" / "tokenizer_config.json"):
        file.write_text(file.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))


def load_text_encoder_in_float32(folder: Path) -> None:
    """Let its configuration name float32, in which diffusers loads the other parts by default.

    transformers loads what the configuration names, and CogVideoX's pipeline cannot mix the two.
    """
    file = folder / "text_encoder" / "config.json"
    file.write_text(file.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--transformer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pipeline = build_pipeline(options.vae, options.transformer, FAMILIES[options.family])
    for part in (pipeline.vae, pipeline.transformer, pipeline.text_encoder):
        part.to(torch.float16)
    pipeline.save_pretrained(options.out, safe_serialization=True)
    name_tokenizer_class(options.out)
    load_text_encoder_in_float32(options.out)
    write_card(options.out, options.family)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
