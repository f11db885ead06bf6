"""Train the transformer with its text encoder: python -m experiments.emojiworld.train_transformer --vae runs/.../vae
--out runs/emojiworld/transformer --minutes 12 (on several GPUs: torchrun --nproc-per-node N -m ...)

First on single frames (a fifth of the tokens), which teach nouns, colors, counts and relations; then on whole clips and
frames in turn. Latents come from ring buffers in GPU memory that are refilled with fresh scenes during training.
"""

from __future__ import annotations

import argparse
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.models import LATENT_CHANNELS, TEXT_TOKENS, build_tokenizer
from experiments.emojiworld.roles import CLASSES, RoleReader, no_roles, token_roles
from experiments.emojiworld.training import Run, ScenePool, join_processes, leave_processes
from ttom.emojiworld.captions import caption, forget
from ttom.emojiworld.editions import EDITIONS, SECOND, Edition
from ttom.emojiworld.render import PACKED, Renderer, frame_times, pack
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH

EMPTY_PROMPT_RATE = 0.1
VAGUE_RATE = 0.12
READER_WEIGHT = 0.02
NORMALIZATION = "normalization.json"
FRAME_KIND_SHARES = (0.04, 0.05, 0.03, 0.16, 0.22, 0.28, 0.05, 0.0, 0.0, 0.12, 0.05)
CLIP_KIND_SHARES = (0.12, 0.10, 0.12, 0.10, 0.10, 0.14, 0.13, 0.07, 0.05, 0.05, 0.02)
"""Of the kinds of edition 2. Counts of two nouns are learned last and get the largest share; what turns, enters or
leaves cannot be seen in the first frame."""


@cache
def _tokenizer(number: int) -> PreTrainedTokenizerFast:
    return build_tokenizer(EDITIONS[number])


def scenes(seed: int, count: int, shares: tuple[float, ...], edition: Edition) -> dict[str, Tensor]:
    """Packed training scenes with "tokens" ``(count, 64)`` of their captions and "roles" ``(count, 64, classes)``."""
    rng, tokenizer = random.Random(seed), _tokenizer(edition.number)
    made, texts, vague = [], [], []
    for _ in range(count):
        scene = sample_scene(rng, "train", rng.choices(tuple(edition.kinds), shares)[0], edition)
        paint(rng, scene)
        vague.append(rng.random() < VAGUE_RATE)
        texts.append(forget(rng, caption(rng, scene, float(vague[-1]), edition), edition=edition))
        made.append(scene)
    tokens = tokenizer(texts, padding="max_length", max_length=TEXT_TOKENS, truncation=True).input_ids
    roles = [  # a vague caption states nothing to read
        no_roles(TEXT_TOKENS) if is_vague else token_roles(tokenizer, scene.facts, ids)
        for scene, ids, is_vague in zip(made, tokens, vague, strict=True)
    ]
    return {**pack(made), "tokens": torch.tensor(tokens, dtype=torch.int16), "roles": torch.stack(roles)}


def frame_scenes(seed: int, count: int) -> dict[str, Tensor]:
    """Scenes of which the first frame is trained on."""
    return scenes(seed, count, FRAME_KIND_SHARES, SECOND)


def clip_scenes(seed: int, count: int) -> dict[str, Tensor]:
    """Scenes of which all frames are trained on."""
    return scenes(seed, count, CLIP_KIND_SHARES, SECOND)


def load_vae(folder: Path, family: Family = FAMILIES["wan"]) -> nn.Module:
    """The VAE of a training folder (its averaged weights) or of an exported pipeline folder, in float32."""
    vae = family.build_vae()
    averaged = folder / "ema.safetensors"
    weights = load_file(averaged if averaged.exists() else folder / "vae" / "diffusion_pytorch_model.safetensors")
    vae.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return vae


class LatentEncoder:
    """Renders scenes and encodes them with the trained VAE, normalized as the pipeline normalizes.

    ``normalization`` holds those entries of the VAE's configuration: as an exported pipeline or the file `kept` states
    them, else measured on 256 clips. A transformer that resumes must get those that it began with.
    """

    def __init__(
        self, vae_folder: Path, device: str, family: Family = FAMILIES["wan"], kept: Path | None = None
    ) -> None:
        self.device, self.family = device, family
        self.vae = family.prepare_vae(load_vae(vae_folder, family).to(device).eval())
        self.renderer = Renderer(device)
        self.mean, self.std = self._channels(0.0), self._channels(1.0)
        stated = (vae_folder / "vae" / "config.json", *([kept] if kept is not None else []))
        known = next((json.loads(file.read_text()) for file in stated if file.exists()), None)
        if known is None:
            latents = torch.cat([self(clip_scenes(seed, 32), frame_times(FRAMES)) for seed in range(8)])
            known = family.normalization(latents)
        self.mean, self.std = (self._channels(values) for values in family.statistics(known))
        self.normalization = {name: known[name] for name in family.normalized_by}

    def save_normalization(self, file: Path) -> None:
        """Keep it beside the transformer that is trained with it, for its export and for a run that resumes."""
        file.write_text(json.dumps(self.normalization) + "\n")

    def _channels(self, values: list[float] | float) -> Tensor:
        return torch.tensor(values, device=self.device).view(1, -1, 1, 1, 1)

    @torch.no_grad()
    def __call__(self, packed: dict[str, Tensor], times: Tensor) -> Tensor:
        """Packed scenes -> latents ``(B, C, F, H/4, W/4)``."""
        packed = {name: packed[name].to(self.device, non_blocking=True) for name in PACKED}
        video, _ = self.renderer(packed, times.to(self.device))
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            mean, _ = self.family.encode(self.vae, video)
        return (mean.float() - self.mean) / self.std


class Ring:
    """Latents and tokens in device memory; fresh ones overwrite the oldest, and each is drawn about `reuse` times."""

    def __init__(self, encoder: LatentEncoder, pool: ScenePool, times: Tensor, capacity: int, reuse: int) -> None:
        self.encoder, self.pool, self.times, self.capacity, self.reuse = encoder, iter(pool), times, capacity, reuse
        frames = (len(times) - 1) // 4 + 1
        shape = (capacity, LATENT_CHANNELS, frames, HEIGHT // 4, WIDTH // 4)
        self.latents = torch.empty(shape, dtype=torch.bfloat16, device=encoder.device)
        self.tokens = torch.zeros(capacity, TEXT_TOKENS, dtype=torch.int16, device=encoder.device)
        self.roles = torch.zeros(capacity, TEXT_TOKENS, len(CLASSES), dtype=torch.int8, device=encoder.device)
        self.filled, self.at, self.drawn = 0, 0, 0

    def refill(self) -> int:
        """Add a batch of the pool; returns its size."""
        packed = next(self.pool)
        count = len(packed["tokens"])
        slots = torch.arange(self.at, self.at + count, device=self.latents.device) % self.capacity
        self.latents[slots] = self.encoder(packed, self.times).to(torch.bfloat16)
        self.tokens[slots] = packed["tokens"].to(self.tokens.device)
        self.roles[slots] = packed["roles"].to(self.roles.device)
        self.at = (self.at + count) % self.capacity
        self.filled = min(self.filled + count, self.capacity)
        return count

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents ``(count, C, F, H/4, W/4)``, token ids ``(count, 64)`` and the roles of the tokens."""
        while self.filled < min(self.capacity, 8 * count):
            self.refill()
        self.drawn += count
        while self.drawn >= self.reuse:
            self.drawn -= self.reuse * self.refill()
        index = torch.randint(self.filled, (count,), device=self.latents.device)
        return self.latents[index].float(), self.tokens[index].long(), self.roles[index]


class TextToVideo(nn.Module):
    """Transformer and text encoder as one trainable module, with the reader of roles that only training needs."""

    def __init__(self, family: Family = FAMILIES["wan"], edition: Edition = SECOND) -> None:
        super().__init__()
        self.family = family
        self.transformer = family.build_transformer()
        text_encoder: Any = family.build_text_encoder(_tokenizer(edition.number))
        self.text_encoder = text_encoder
        self.reader = RoleReader(text_encoder.config.d_model)

    def load(self, folder: Path) -> None:
        """Take the averaged weights of a training folder, or those of an exported pipeline folder."""
        averaged = folder / "ema.safetensors"
        if averaged.exists():
            missing, unexpected = self.load_state_dict(load_file(averaged), strict=False)
            if unexpected or set(missing) - {"text_encoder.encoder.embed_tokens.weight"}:  # tied to "shared"
                raise SystemExit(f"{folder}: missing {missing}, unexpected {unexpected}")
            return
        transformer = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
        text_encoder = load_file(folder / "text_encoder" / "model.safetensors")
        self.transformer.load_state_dict({name: tensor.float() for name, tensor in transformer.items()})
        self.text_encoder.load_state_dict({n: t.float() for n, t in text_encoder.items()}, strict=False)

    def forward(
        self, latents: Tensor, tokens: Tensor, roles: Tensor, length: int, shift: float
    ) -> tuple[Tensor, Tensor]:
        """The family's loss at random noise levels, and the reader's loss.

        Args:
            latents: ``(B, C, F, H/4, W/4)``.
            tokens: Ids ``(B, 64)``; some prompts are emptied, for guidance.
            roles: ``(B, 64, classes)``.
            length: Text tokens that the transformer sees.
            shift: Above 1, high noise levels are more frequent.
        """
        drop = torch.rand(len(latents), 1, device=latents.device) < EMPTY_PROMPT_RATE
        empty = torch.zeros_like(tokens)
        empty[:, 0] = 1
        text = self.family.embed(self.text_encoder, torch.where(drop, empty, tokens), length)
        read = self.reader(text[:, : tokens.shape[1]], roles.masked_fill(drop[..., None], -1))
        return self.family.loss(self.transformer, latents, text, shift), read


def by_muon(name: str) -> bool:
    """The matrices in the blocks of the transformer and the text encoder; tables and vectors stay with AdamW."""
    inside = "blocks." in name or ".encoder.block." in name
    return inside and name.endswith("weight") and "norm" not in name and "relative_attention_bias" not in name


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    parser.add_argument("--vae", type=Path, required=True, help="folder of the VAE's training, or an exported pipeline")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--weights", type=Path, default=None, help="folder of a training, or an exported pipeline, to start from"
    )
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--frame-share", type=float, default=0.2, help="share of the time on single frames at first")
    parser.add_argument("--frame-mix", type=float, default=0.5, help="share of the later steps on frames")
    parser.add_argument(
        "--long-text", type=float, default=0.1, help="share of the clip steps with diffusers' own text length"
    )
    parser.add_argument(
        "--noise-shift",
        type=float,
        default=None,
        help="above 1: more high noise levels; default: the family's own",
    )
    parser.add_argument("--frame-batch", type=int, default=1024)
    parser.add_argument("--clip-batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=6, help="scene makers, for frames and again for clips")
    parser.add_argument("--ring", type=int, default=128, help="batches of frames in memory; twice as many of clips")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--stop-after", type=float, default=None, help="minutes of this call; a later one resumes")
    return parser.parse_args(arguments)


def main() -> None:
    options = options_of()
    family = FAMILIES[options.family]
    shift = family.noise_shift if options.noise_shift is None else options.noise_shift
    device = join_processes()
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    kept = options.out / NORMALIZATION
    encoder = LatentEncoder(options.vae, device, family, kept)  # before the clock starts
    model = TextToVideo(family).to(device)
    if options.weights:
        model.load(options.weights)
    family.prepare_transformer(model.transformer)
    run = Run(options.out, model, lr=options.lr, minutes=options.minutes, ema=0.999, weight_decay=0.0, muon=by_muon)
    if not options.no_compile:
        text_encoder: Any = model.text_encoder
        for block in (*getattr(model.transformer, family.blocks), *text_encoder.encoder.block):
            block.compile(dynamic=False)
    if run.rank == 0:
        encoder.save_normalization(kept)
    rng = random.Random(options.seed + run.step)  # the kind of step is the same on every GPU, what is in it is not
    seed = options.seed + run.step + run.rank * 1_000_003
    torch.manual_seed(seed)
    frame_pool = ScenePool(frame_scenes, options.frame_batch, seed=seed, workers=options.workers)
    clip_pool = ScenePool(clip_scenes, options.clip_batch, seed=seed + 1, workers=options.workers)
    frames = Ring(encoder, frame_pool, frame_times(FRAMES)[:1], options.ring * options.frame_batch, reuse=6)
    clips = Ring(encoder, clip_pool, frame_times(FRAMES), 2 * options.ring * options.clip_batch, reuse=16)
    begun = run.seconds
    while not run.done and not (options.stop_after and run.seconds - begun > options.stop_after * 60):
        on_frames = run.progress < options.frame_share or rng.random() < options.frame_mix
        batch = frames.draw(options.frame_batch) if on_frames else clips.draw(options.clip_batch)
        length = family.text_length if not on_frames and rng.random() < options.long_text else TEXT_TOKENS
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            value, read = model(*batch, length, shift)
        run.update(value + READER_WEIGHT * read, reader=read, **{"frames" if on_frames else "clips": value})
        run.log(100)
    frame_pool.close()
    clip_pool.close()
    run.save()
    leave_processes()
    if run.rank == 0:
        print(f"{options.out}: {run.step} steps in {run.seconds:.0f} s")


if __name__ == "__main__":
    main()
