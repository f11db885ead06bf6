"""Fixtures that several rooms share: tiny pipelines as folders and as backbones, a chat server, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.browser import ARGUMENTS, CHROMIUM
from tests.chat_server import ChatServer, serving
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
    backbone = load_backbone(str(tiny_folder), device="cpu")
    assert isinstance(backbone, WanBackbone)
    return backbone


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A fresh server; the client's own waits between tries are short."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    with serving() as server:
        yield server


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium. Tests that use it are skipped without it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()
