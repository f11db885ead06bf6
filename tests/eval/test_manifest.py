"""The run folder: what is whole, what is refused, and what a crash may leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.manifest import MANIFEST, collisions, last_rows, open_run, read_header, read_rows
from eval.types import ManifestRow
from tests.eval.cases import case, header, made
from ttom.errors import UserError


def visible(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if not path.parts[0].startswith(".")}


def test_videos_lie_alone_in_their_folders(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", header()) as run:
        run.add(made(case(1), b"video"), b"video", {"report.json": b"{}"})
        assert not list((tmp_path / "run" / ".staging").iterdir())
    expected = {"run.json", "manifest.jsonl", "videos/toy/0001.mp4", "cases/c-0001/report.json"}
    assert visible(tmp_path / "run") == expected
    assert (tmp_path / "run/videos/toy/0001.mp4").read_bytes() == b"video"


def test_what_is_done(tmp_path: Path) -> None:
    one, two, three = (case(number) for number in range(3))
    with open_run(tmp_path, header()) as run:
        run.add(made(one, b"video"), b"video")
        run.add(ManifestRow(identity="row of c-0001", case=two, status="refused", error="no objects"))
        run.add(ManifestRow(identity="row of c-0002", case=three, status="failed", error="killed"))
    with open_run(tmp_path, header()) as run:
        assert run.is_done(one, "row of c-0000") and run.is_done(two, "row of c-0001")
        assert not run.is_done(three, "row of c-0002"), "a failed case is tried again"
        assert not run.is_done(one, "other"), "another layout or seed is another video"
        assert not run.is_done(case(4), "row of c-0004")
        (tmp_path / "videos" / one.video).write_bytes(b"vid")
        assert not run.is_done(one, "row of c-0000"), "its video was cut"
        (tmp_path / "videos" / one.video).unlink()
        assert not run.is_done(one, "row of c-0000"), "its video is gone"


def test_the_last_row_of_a_case_counts(tmp_path: Path) -> None:
    with open_run(tmp_path, header()) as run:
        run.add(made(case(1), b"old"), b"old")
        run.add(ManifestRow(identity="new", case=case(1), status="refused", error="no objects"))
        assert not (tmp_path / "videos" / case(1).video).exists(), "the video was of what the case is no longer"
    with open_run(tmp_path, header()) as run:
        assert run.rows["c-0001"].status == "refused"
    assert [row.status for row in read_rows(tmp_path)] == ["made", "refused"]
    assert {key: row.status for key, row in last_rows(tmp_path).items()} == {"c-0001": "refused"}
    assert last_rows(tmp_path / "nothing") == {}


@pytest.mark.parametrize("left", ['{"identity": "row of c-00', "{}", "\0" * 40])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, left: str) -> None:
    with open_run(tmp_path, header()) as run:
        run.add(made(case(1), b"video"), b"video")
    with open(tmp_path / MANIFEST, "a") as file:
        file.write(left)
    assert [row.case.id for row in read_rows(tmp_path)] == ["c-0001"]
    with open_run(tmp_path, header()) as run:
        run.add(made(case(2), b"video"), b"video")
    assert [row.case.id for row in read_rows(tmp_path)] == ["c-0001", "c-0002"]
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"tto": {"lr": 0.2}}}, "tto.lr is 0.1 there and 0.2 here"),
        ({"suite": "other"}, "suite is toy there and other here"),
        ({"model_digest": "e"}, "model_digest is d there and e here"),
        ({"memory_digest": "m"}, "memory_digest is None there and m here"),
        ({"runtime": {"fp8": True}}, "fp8 is None there and True here"),
    ],
)
def test_another_setting_is_another_run(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with open_run(tmp_path, header()) as run:
        run.add(made(case(1), b"video"), b"video")
    with (
        pytest.raises(UserError, match=f"(?s){message}.*name another folder"),
        open_run(tmp_path, header(identity="j", **changes)),
    ):
        pass
    assert read_header(tmp_path) == header()


def test_a_run_that_failed_before_its_first_row_is_replaced(tmp_path: Path) -> None:
    with open_run(tmp_path, header()):
        pass
    other = header(identity="j", suite="other")
    with pytest.raises(UserError, match="other settings"), open_run(tmp_path, other, shard=(1, 2)):
        pass
    with open_run(tmp_path, other) as run:
        assert run.header == read_header(tmp_path) == other
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "left.mp4").touch()
    with pytest.raises(UserError, match="other settings"), open_run(tmp_path, header()):
        pass


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="is not a run: it holds 'thesis.tex'"), open_run(tmp_path, header()):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "{}", '{"version": 2}'])
def test_a_header_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match="is not a run header"), open_run(tmp_path, header()):
        pass


def test_one_replay_at_a_time(tmp_path: Path) -> None:
    with open_run(tmp_path, header()):
        with pytest.raises(UserError, match="another replay is writing to .*process [0-9]+ on"):
            open_run(tmp_path, header()).__enter__()
        with pytest.raises(UserError, match="another replay"):
            open_run(tmp_path, header(), shard=(1, 2)).__enter__()
    with open_run(tmp_path, header()):
        pass


def test_shards_share_a_run(tmp_path: Path) -> None:
    with open_run(tmp_path, header(), shard=(1, 2)) as one, open_run(tmp_path, header(), shard=(2, 2)) as two:
        one.add(made(case(1), b"video"), b"video")
        two.add(made(case(2), b"video"), b"video")
        with pytest.raises(UserError, match="another replay"):
            open_run(tmp_path, header(), shard=(1, 2)).__enter__()
        with pytest.raises(UserError, match="another replay"):
            open_run(tmp_path, header()).__enter__()
    assert [row.case.id for row in read_rows(tmp_path)] == ["c-0001", "c-0002"]


APPENDER = """
import sys
from pathlib import Path
from eval.manifest import open_run
from tests.eval.cases import case, header, made
shard = int(sys.argv[2])
with open_run(Path(sys.argv[1]), header(), shard=(shard, 2)) as run:
    for number in range(shard, 60, 2):
        run.add(made(case(number), b"video"), b"video")
"""


def test_shards_in_two_processes_lose_no_row(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path), str(shard)]) for shard in (1, 2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert {row.case.id for row in read_rows(tmp_path)} == {f"c-{number:04d}" for number in range(1, 60)}


def test_names_that_some_disks_take_for_one() -> None:
    cases = [case(1, video="v/A.mp4"), case(2, video="v/a.mp4"), case(3, video="v/b.mp4")]
    assert {key: other.id for key, other in collisions(cases).items()} == {"c-0002": "c-0001"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"), open_run(tmp_path / "file" / "run", header()):
        pass
