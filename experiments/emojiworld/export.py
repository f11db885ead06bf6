"""Write the trained parts as a plain diffusers folder in fp16: python -m experiments.emojiworld.export --vae ...
--transformer ... --out ttom/checkpoints/emojiworld-wan [--family cogvideox]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.models import build_tokenizer
from experiments.emojiworld.train_transformer import LatentEncoder, TextToVideo, load_vae


def build_pipeline(vae_folder: Path, transformer_folder: Path, family: Family = FAMILIES["wan"]) -> DiffusionPipeline:
    """The family's stock pipeline with the averaged weights of both trainings, in float32."""
    encoder = LatentEncoder(vae_folder, "cuda" if torch.cuda.is_available() else "cpu", family)
    vae = load_vae(vae_folder, family)
    vae.register_to_config(**encoder.normalisation)
    model = TextToVideo(family)
    model.load(transformer_folder)
    return family.pipeline(
        tokenizer=build_tokenizer(),
        text_encoder=model.text_encoder.eval(),
        transformer=model.transformer.eval(),
        vae=vae.eval(),
        scheduler=family.build_scheduler(),
    )


def name_tokenizer_class(folder: Path) -> None:
    """Name the tokenizer's public class: transformers 5 writes an internal one that older versions do not know."""
    for file in (folder / "model_index.json", folder / "tokenizer" / "tokenizer_config.json"):
        file.write_text(file.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))


def load_text_encoder_in_float32(folder: Path) -> None:
    """Let its configuration name float32, which diffusers loads the other parts in where the user names nothing.

    transformers loads what the configuration names; CogVideoX's pipeline cannot mix the two.
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
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
