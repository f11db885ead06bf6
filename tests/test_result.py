"""The files of a result: all or none, those of an earlier run gone, latents the last thing to keep; the stopwatch."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.test_report import report as report  # the fixture
from ttom.errors import SetupError, UserError
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject, load_layout
from ttom.presets import emojiworld
from ttom.report import Report
from ttom.result import FILES, LATENTS, Result, Stopwatch, save_latents, sha256
from ttom.types import ObjectMasks

CAT = LayoutObject(
    id="cat", phrase="cat", noun="cat", key_frames=(KeyFrame(time=0.0, box=Box(x0=0.1, y0=0.1, x1=0.6, y1=0.9)),)
)
LAYOUT = Layout(prompt="A cat", objects=(CAT,))


@pytest.fixture
def result(report: Report) -> Result:
    maps = torch.rand(1, 2, 4, 6)
    return Result(
        video=np.random.default_rng(0).integers(0, 255, (5, 32, 48, 3), dtype=np.uint8),
        latents=torch.arange(6.0).reshape(1, 6),
        layout=LAYOUT,
        report=report,
        settings=emojiworld(),
        masks=ObjectMasks(maps / maps.sum(dim=(2, 3), keepdim=True), torch.ones(1, 2, dtype=torch.bool)),
        maps_before=maps,
    )


def test_all_files_are_written_and_the_report_names_the_videos_digest(result: Result, tmp_path: Path) -> None:
    assert result.save(tmp_path / "out") == tmp_path / "out"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    video = (tmp_path / "out" / "video.mp4").read_bytes()
    assert Report.load(tmp_path / "out" / "report.json").video_sha256 == hashlib.sha256(video).hexdigest()
    assert load_layout(tmp_path / "out" / "layout.json") == LAYOUT


def test_files_of_an_earlier_run_go_and_others_stay(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    save_latents(result.latents, tmp_path)
    replace(result, layout=None, masks=None, maps_before=None).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"video.mp4", "report.json", "notes.txt"}


def test_without_maps_there_is_no_picture_of_them(result: Result, tmp_path: Path) -> None:
    without = replace(result, maps_before=None)
    assert not without.draw_attention(tmp_path / "a.png") and not (tmp_path / "a.png").exists()
    without.save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES} - {"attention.png"}


def test_what_cannot_be_written_leaves_the_old_files_and_the_latents(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(*_: object) -> None:
        raise UserError("the encoder failed")

    monkeypatch.setattr("ttom.video.write_video", broken)
    with pytest.raises(UserError, match="the final latents are kept in") as error:
        result.save(tmp_path)
    assert str(tmp_path / LATENTS) in str(error.value)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = load_file(tmp_path / LATENTS)["latents"]
    assert torch.equal(kept, result.latents)
    assert {name: data for name, data in after.items() if name != LATENTS} == before


def test_a_folder_that_cannot_be_made(result: Result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot write to"):
        result.save(tmp_path / "file" / "out")


def test_latents_are_kept_as_they_are(tmp_path: Path) -> None:
    latents = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3).T  # not contiguous
    kept = load_file(save_latents(latents, tmp_path / "new" / "folder"))["latents"]
    assert kept.dtype == torch.bfloat16 and torch.equal(kept, latents)


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_stopwatch_sums_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 1.5, 2.0, 2.25, 10.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    watch = Stopwatch()
    for _ in range(2):
        with watch("decode"):
            pass
    watch.add("sample", 0.5)
    watch.add("sample", 0.5)
    seconds = watch.report()
    assert (seconds.decode, seconds.sample, seconds.total) == (0.75, 1.0, 10.0)
    assert seconds.optimize is None
