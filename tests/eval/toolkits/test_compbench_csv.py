"""The official CSV files, made by hand in their form."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest

from eval.metrics.compbench import CATEGORIES
from eval.toolkits.compbench_csv import pack_leaderboard, read_table
from ttom.errors import UserError

CONSISTENT = """name,prompt,seed0_answer1,seed0_answer2,seed_score,Score
0001.png,A blue car,"The car, as it
seems, is blue","{""option"": ""A""}","[15, 15, 15]",15.0
0002.png,A black dog,a dog,x,"[8, 1, 15]",8.0
0004.png,A red vase,a vase,x,"[1, 'bad reply', 1]",bad reply
score: ,0.75
"""
MOTION = """id,object_1,d_1,object_2,d_2,Score_before_adjust,Score
0001,cat,left,,,0.5,0.6000000000000001
0002,dog,left,bird,right,-1,0
score: ,0.30000000000000004
"""
SPATIAL = """id,score_frame,Score
0003,"[1.0, 0.4]",0.7
0010,"[0.2, 0.2]",0.2
Score: ,0.45
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_raw_scores_are_normalized_and_unreadable_ones_do_not_count(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", CONSISTENT), "consistent")
    assert table.scores == {1: 1.0, 2: 0.5, 4: None}  # (15 - 1) / 14, (8 - 1) / 14
    assert table.mean == 0.75 == table.stated and table.is_consistent and not table.stale


def test_other_categories_hold_final_scores(tmp_path: Path) -> None:
    motion = read_table(write(tmp_path / "m.csv", MOTION), "motion")
    assert motion.scores == pytest.approx({1: 0.6, 2: 0.0}) and motion.is_consistent
    spatial = read_table(write(tmp_path / "s.csv", SPATIAL), "spatial")
    assert spatial.scores == {3: 0.7, 10: 0.2} and spatial.is_consistent


def test_an_old_score_line_is_not_averaged_in(tmp_path: Path) -> None:
    """A second call went on after "score: " and took that line for a video."""
    again = CONSISTENT.replace("score: ,0.75\n", "score: ,0.75\n0005.png,A frog,a frog,x,1,1.0\nscore: ,0.37\n")
    table = read_table(write(tmp_path / "a.csv", again), "consistent")
    assert table.scores == {1: 1.0, 2: 0.5, 4: None, 5: 0.0} and table.stale == 1
    assert table.mean == pytest.approx(0.5) and table.stated == 0.37 and not table.is_consistent
    clean = read_table(write(tmp_path / "b.csv", table.text()), "consistent")
    assert clean.is_consistent and not clean.stale and clean.scores == table.scores


def test_an_unfinished_file_has_no_score(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", CONSISTENT.replace("score: ,0.75\n", "")), "consistent")
    assert table.stated is None and not table.is_consistent and len(table.scores) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no header"),
        ("0001.png,a,15\n", "no header"),
        ("name,Score\n0001.png,1\n0001.png,2\n", "0001 twice"),
        ("name,Score\nnotes,1\n", "not a video's row"),
        ("name,Score\n0001.png\n", "not a video's row"),
        ("name,Score\n0000.png,1\n", "not a video's row"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read_table(write(tmp_path / "a.csv", text), "consistent")
    with pytest.raises(UserError, match="does not exist"):
        read_table(tmp_path / "none.csv", "consistent")


def files(folder: Path) -> None:
    for category in CATEGORIES.values():
        raw = 15 if category.name == "consistent" else 1
        (folder / category.name).mkdir(parents=True)
        last = 1 if category.name not in ("action", "interaction") else 0
        text = f"name,Score\n0001,{raw}\nscore: ,{last}\n"
        write(folder / category.name / f"m_{category.csv}.csv", text)
    write(folder / "motion" / "m_motion_back_fore.csv", "id,obj_net_left\n0001,-3.5\n")


def test_the_leaderboards_zip(tmp_path: Path) -> None:
    files(tmp_path / "csv")
    target = tmp_path / "eval_results.zip"
    assert pack_leaderboard(tmp_path / "csv", "m", target) == []
    with zipfile.ZipFile(target) as packed:
        names = packed.namelist()
        contents = {name: packed.read(name).decode() for name in names}
    assert len(names) == 8 and not any("/" in name for name in names)
    for name, text in contents.items():
        if name != "m_motion_back_fore.csv":
            last = list(csv.reader(io.StringIO(text)))[-1]
            assert last[0] == "score: " and 0 <= float(last[1]) <= 1
    assert contents["m_motion_back_fore.csv"] == "id,obj_net_left\n0001,-3.5\n"
    before = target.read_bytes()
    pack_leaderboard(tmp_path / "csv", "m", target)
    assert target.read_bytes() == before


def test_the_zip_mends_old_score_lines_and_says_so(tmp_path: Path) -> None:
    files(tmp_path / "csv")
    path = tmp_path / "csv" / "numeracy" / "m_numeracy_video.csv"
    path.write_text("id,Score_1\n0001,1\nscore: ,1\n0002,0\nscore: ,0.66\n")
    (mended,) = pack_leaderboard(tmp_path / "csv", "m", tmp_path / "a.zip")
    assert mended == "m_numeracy_video.csv: 1 old score lines; mean 0.5000, the file said 0.66"
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        text = packed.read("m_numeracy_video.csv").decode()
    assert text.count("score: ") == 1 and text.rstrip().endswith("score: ,0.5")


def test_no_zip_of_incomplete_files(tmp_path: Path) -> None:
    files(tmp_path / "csv")
    path = tmp_path / "csv" / "numeracy" / "m_numeracy_video.csv"
    path.write_text("id,Score_1\n0001,bad reply\nscore: ,0\n")
    with pytest.raises(UserError, match="no readable score"):
        pack_leaderboard(tmp_path / "csv", "m", tmp_path / "a.zip")
    path.unlink()
    with pytest.raises(UserError, match="does not hold m_numeracy_video.csv"):
        pack_leaderboard(tmp_path / "csv", "m", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
