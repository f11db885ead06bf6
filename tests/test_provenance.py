"""Where results come from: settings, commit, and the digest of a model's weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttom import checkpoints, provenance
from ttom.presets import emojiworld, paper


def test_settings_are_described_by_what_differs() -> None:
    described = provenance.describe_settings(emojiworld(), "paper", paper())
    assert described["given"]["sampler.frames"] == 17
    assert described["given"]["tto.lr"] == emojiworld().tto.lr
    assert "tto.loss" not in described["given"]
    assert provenance.describe_settings(paper(), "paper", paper())["given"] == {}


def test_commit_is_of_our_own_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (Path(provenance.__file__).parents[1] / ".git").exists():
        pytest.skip("not run from a git checkout")
    monkeypatch.delenv("TTOM_COMMIT", raising=False)
    assert provenance.environment("cpu")["dirty"] in (True, False)
    installed = tmp_path / "site-packages" / "ttom"
    installed.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(installed / "provenance.py"))
    monkeypatch.setenv("TTOM_COMMIT", "")
    assert provenance.environment("cpu")["commit"] is None


def test_a_process_that_does_not_compute_names_no_device() -> None:
    assert set(provenance.environment("cpu")) - set(provenance.environment()) == {"device", "device_name"}
    assert provenance.environment("cpu")["device"] == "cpu"


def test_the_commit_that_the_environment_names_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over a checkout: that of a copied tree may be older than the files."""
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    monkeypatch.setattr(provenance, "git", lambda root, *arguments: "of-the-checkout")
    for root, unnamed in ((checkout, ("of-the-checkout", True)), (tmp_path / "copy", (None, None))):
        monkeypatch.setattr(provenance, "__file__", str(root / "ttom" / "provenance.py"))
        for name, expected in (("", unnamed), ("0123abc", ("0123abc", None))):
            monkeypatch.setenv("TTOM_COMMIT", name)
            told = provenance.environment()
            assert (told["commit"], told["dirty"]) == expected


def test_the_digest_of_a_model_is_that_of_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = checkpoints.path("emojiworld-wan")
    assert provenance.model_digest("emojiworld-wan") == provenance.model_digest(str(embedded))
    assert provenance.model_digest("owner/not-in-the-cache") is None
    assert provenance.model_digest("no such model") is None
    weights = tmp_path / "transformer" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(bytes(1000))
    small = provenance.digest(tmp_path)
    weights.write_bytes(bytes(999) + b"1")
    assert provenance.digest(tmp_path) != small
    monkeypatch.setattr(provenance, "_READ_WHOLE", 500)
    monkeypatch.setattr(provenance, "_SAMPLE", 8)
    sampled = provenance.digest(tmp_path)
    weights.write_bytes(bytes(1000))
    assert provenance.digest(tmp_path) != sampled  # the last byte is read
