"""The losses of a run arrive in W&B, with its real package, offline."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guidance.tto.sample import Sample
from ttom.backbones.wan import WanBackbone

BLOCK, FILE_HEADER, HEADER = 32768, 7, 7
FULL, LAST = 1, 4


def records(file: Path) -> Iterator[bytes]:
    """The records of a .wandb file: a log in LevelDB's format, in which a record may be cut into fragments."""
    data, place, whole = file.read_bytes(), FILE_HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:  # filled with zeros
            place += left
            continue
        _checksum, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        whole += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            yield whole
            whole = b""


def test_losses_arrive_in_wandb(tiny: WanBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    wandb.teardown()  # another test's run may have set it up already, and then it would not read the environment again
    from lightning.pytorch.loggers import WandbLogger
    from wandb.proto.wandb_internal_pb2 import Record

    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(name="sample", save_dir=tmp_path, offline=True)
    losses = [loss for step in Sample(tiny).run(logger=logger).outcome.losses for loss in step]
    logger.experiment.finish()
    wandb.teardown()  # the service writes on after `finish`

    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    logged = []
    for record in map(Record.FromString, records(file)):
        items = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
        if "tto/loss" in items:
            logged.append((int(items["trainer/global_step"]), float(items["tto/loss"])))
    assert [step for step, _ in logged] == list(range(len(losses)))
    assert [loss for _, loss in logged] == pytest.approx(losses, rel=1e-6)
