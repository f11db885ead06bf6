"""Write the trained parts as a plain diffusers folder in fp16: python -m experiments.emojiworld.export --vae ...
--transformer ... --out ttom/checkpoints/emojiworld-wan
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import WanPipeline

from experiments.emojiworld.models import build_scheduler, build_tokenizer
from experiments.emojiworld.train_transformer import LatentEncoder, TextToVideo, load_vae


def build_pipeline(vae_folder: Path, transformer_folder: Path) -> WanPipeline:
    """The stock pipeline with the averaged weights of both trainings, in fp16."""
    statistics = LatentEncoder(vae_folder, "cuda" if torch.cuda.is_available() else "cpu").statistics()
    vae = load_vae(vae_folder)
    vae.register_to_config(**statistics)
    model = TextToVideo()
    model.load(transformer_folder)
    return WanPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=model.text_encoder.eval(),
        transformer=model.transformer.eval(),
        vae=vae.eval(),
        scheduler=build_scheduler(),
    )


def name_tokenizer_class(folder: Path) -> None:
    """Name the tokenizer's public class: transformers 5 writes an internal one that older versions do not know."""
    for file in (folder / "model_index.json", folder / "tokenizer" / "tokenizer_config.json"):
        file.write_text(file.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--transformer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pipeline = build_pipeline(options.vae, options.transformer)
    for part in (pipeline.vae, pipeline.transformer, pipeline.text_encoder):
        part.to(torch.float16)
    pipeline.save_pretrained(options.out, safe_serialization=True)
    name_tokenizer_class(options.out)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
