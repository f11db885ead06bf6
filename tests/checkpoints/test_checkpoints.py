"""The embedded checkpoints by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttom import checkpoints
from ttom.errors import UserError


def test_checkpoint_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="(?s)no embedded checkpoint.*emojiworld-wan"):
        checkpoints.path("other")
    monkeypatch.setattr(checkpoints, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(UserError, match="missing from"):
        checkpoints.path("emojiworld-wan")
    (tmp_path / "emojiworld-wan").mkdir()
    (tmp_path / "emojiworld-wan" / "model_index.json").touch()
    assert checkpoints.path("emojiworld-wan") == tmp_path / "emojiworld-wan"
