"""Shapes, sizes and errors of the Wan backbone."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_pipeline
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError
from ttom.types import TokenGrid, VideoSize


def test_shapes_agree(tiny: WanBackbone) -> None:
    size = VideoSize(9, 32, 48)
    assert tiny.token_grid(size) == TokenGrid(3, 8, 12)
    assert tiny.initial_latents(size, 0).shape == (1, 16, 3, 8, 12)
    assert (tiny.num_blocks, tiny.temporal_compression) == (4, 4)
    tiny.check_size(size)


def test_patches_as_in_the_large_models() -> None:
    backbone = WanBackbone("patched", tiny_pipeline(patch=2))
    size = VideoSize(5, 32, 48)
    assert backbone.token_grid(size) == TokenGrid(2, 4, 6)
    text = backbone.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    maps = backbone.object_maps(backbone.initial_latents(size, 0), torch.tensor(9.0), text.positive, [[1]], (0, 1))
    assert maps.shape == (2, 1, 2, 4, 6)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (VideoSize(8, 32, 32), "frames` is 8.*4k \\+ 1.*5 or 9"),
        (VideoSize(9, 40, 32), "height` is 40.*multiple of 16.*32 or 48"),
        (VideoSize(9, 32, 8), "width` is 8"),
    ],
)
def test_impossible_sizes(tiny: WanBackbone, size: VideoSize, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        tiny.check_size(size)


def test_position_embeddings_have_an_end(tiny: WanBackbone) -> None:
    reach = 4 * tiny.transformer.config.rope_max_seq_len
    tiny.check_size(VideoSize(9, 32, reach))
    with pytest.raises(UserError, match="(?s)position embeddings.*fewer `sampler.frames`"):
        tiny.check_size(VideoSize(9, 32, reach + 16))


def test_wan22_is_refused(tiny: WanBackbone) -> None:
    tiny.pipe.register_to_config(expand_timesteps=True)
    with pytest.raises(UserError, match="Wan 2.2"):
        WanBackbone("ti2v", tiny.pipe)
