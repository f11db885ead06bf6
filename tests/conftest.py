"""Fixtures that several rooms share: the tiny pipelines as folders and as backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny import tiny_cogvideox, tiny_pipeline
from ttom.backbones import load_backbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.wan import WanBackbone

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a plain diffusers folder."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny-wan"
    tiny_pipeline().save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> WanBackbone:
    """A fresh backbone over the tiny folder, float32 on the CPU."""
    return load_backbone(str(tiny_folder), device="cpu")


@pytest.fixture(scope="session")
def cogvideox_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny CogVideoX like 5B as a plain diffusers folder."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny-cogvideox"
    tiny_cogvideox().save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def cogvideox(request: pytest.FixtureRequest) -> CogVideoXBackbone:
    """A fresh tiny CogVideoX backbone, like 5B unless parametrised indirectly; float32 on the CPU."""
    return CogVideoXBackbone("tiny", tiny_cogvideox(getattr(request, "param", "5b")))
