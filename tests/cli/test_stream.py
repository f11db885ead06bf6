"""`ttom stream` on the tiny random pipeline: order, memory, refusals and bad files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import ttom
from tests.cli.conftest import PROMPT, heavy_imports
from tests.cli.streaming import FIRST, OTHER, SECOND, not_again, record, times, written
from ttom import TTOM, files
from ttom.cli import main
from ttom.cli.app import parse
from ttom.cli.arguments import Stream
from ttom.errors import SetupError
from ttom.presets import released
from ttom.report import Report
from ttom.result import FILES

REFUSED = "slowly and beautifully"


def test_what_is_left_out_is_counted_and_recorded(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "A dog moves up " + "and a cat " * 12 + "at sunset"
    prompts = written(tmp_path, f"{OTHER}\nA dog in a bus moves up\n{long}\n")
    assert main(["stream", prompts, *options, "--method", "base"]) == 0
    rows, notes = record(tmp_path / "run"), capsys.readouterr().err
    assert [row["left_out"] for row in rows][:2] == [[], ["bus (no box, left to the video model)"]]
    assert [bool(row["cut_off"]) for row in rows] == [False, False, True]
    assert "note: 1 of 3 prompts have an end that the model does not read (cut_off in the record)" in notes
    assert "prompts have words that their layouts leave out (left_out in the record)" in notes


def test_a_stream_learns_and_a_second_call_makes_nothing(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = written(tmp_path, f"# two of them alike\n{PROMPT}\n\n{OTHER}\n{OTHER}\n")
    assert main(["stream", prompts, *options, "--memory.threshold", "1", "--memory.dtype", "float32"]) == 0
    out, printed = tmp_path / "run", capsys.readouterr()
    assert printed.err == ""
    rows = record(out)
    folders = [row["folder"] for row in rows]
    cases = [row["identity"] for row in rows]
    assert folders == [f"{FIRST}-{cases[0][:8]}", f"{SECOND}-{cases[1][:8]}", f"{SECOND}-{cases[1][:8]}-2"]
    assert cases[1] == cases[2] != cases[0]
    assert sorted(path.name for path in out.iterdir()) == sorted([*folders, "stream.jsonl"])
    for name in folders:
        assert sorted(path.name for path in (out / name).iterdir()) == sorted(FILES)
        assert Report.load(out / name / "report.json").identity == cases[folders.index(name)]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert {row["status"] for row in rows} == {"made"}
    assert [row["hit"] for row in rows[:2]] == [False, False]
    # An empty memory has nothing to be similar to; later the best match is shown, also where it does not suffice.
    assert rows[0]["similarity"] is None and -1 < rows[1]["similarity"] < 1 and rows[1]["loss_first"] > 0
    lines = printed.out.splitlines()
    assert lines[0].split() == ["memory", "similarity", "loss", "seconds", "folder"]
    assert lines[2].split()[:5] == ["2", "miss", f"{rows[1]['similarity']:.4f}", f"{rows[1]['loss_first']:.3f}", "->"]
    assert lines[2].endswith(str(out / folders[1]))
    assert lines[4].startswith("3 made, 0 kept from an earlier run, 0 refused")

    monkeypatch.setattr("ttom.backbones.load_backbone", not_again)
    before = times(out)
    assert main(["stream", prompts, *options, "--memory.threshold", "1", "--memory.dtype", "float32"]) == 0
    assert times(out) == before
    again = record(out)
    assert [row | {"status": "made"} for row in again] == rows
    assert "0 made, 3 kept" in capsys.readouterr().out


def test_the_same_prompt_again_is_a_hit(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = ttom.TTOM.load
    monkeypatch.setattr(TTOM, "load", lambda self: (loads.append(self), load(self))[1])
    assert main(["stream", written(tmp_path, f"{OTHER}\n{OTHER}"), *options]) == 0
    first, second = record(tmp_path / "run")
    assert (first["hit"], second["hit"]) == (False, True)
    assert second["similarity"] == pytest.approx(1, abs=1e-5)
    assert second["loss_first"] < first["loss_first"]
    assert capsys.readouterr().out.splitlines()[2].split()[:3] == ["2", "hit", "1.0000"]
    assert len({id(runner) for runner in loads}) == 1


def test_a_second_stream_into_the_same_folder_is_refused(
    fails: Callable[..., str], options: list[str], tmp_path: Path
) -> None:
    with files.only_writer(tmp_path / "run"):
        assert "another process writes to" in fails("stream", written(tmp_path, OTHER), *options)
    assert main(["stream", written(tmp_path, OTHER), *options, "--method", "base"]) == 0


def test_a_full_disk_ends_the_stream(
    fails: Callable[..., str], options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    prompts, out = written(tmp_path, f"{OTHER}\n{PROMPT}\n"), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("ttom.video.write_video", full)
        message = fails("stream", prompts, "--method", "base", *options)
    assert "disk full" in message and "latents" in message
    assert not (out / "stream.jsonl").exists()  # nothing is noted as refused
    with monkeypatch.context() as patched:
        patched.setattr("ttom.memory.memory.Memory.insert", lambda *_: _full_memory())
        message = fails("stream", prompts, *options)
    assert "the video was made, but the memory was not updated: disk full" in message
    assert [row["status"] for row in record(out)] == ["made"]
    assert main(["stream", prompts, *options]) == 0
    assert [row["status"] for row in record(out)] == ["kept", "made"]


def _full_memory() -> None:
    raise SetupError("disk full: cannot write to the memory")


def test_a_refused_prompt_does_not_stop_the_others(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = written(tmp_path, f"{PROMPT}\n{REFUSED}\n{OTHER}\n")
    assert main(["stream", prompts, *options]) == 0
    rows, printed = record(tmp_path / "run"), capsys.readouterr()
    assert [row["status"] for row in rows] == ["made", "refused", "made"]
    assert "object" in rows[1]["error"]
    assert "2 made, 0 kept from an earlier run, 1 refused" in printed.out
    assert printed.out.splitlines()[2].split() == ["2", "refused", "-", "-", "-", "-"]
    assert printed.err.startswith("note: prompt 2 was refused: ")
    assert not list((tmp_path / "run").glob("slowly*"))


def test_a_memory_of_another_adapter_stops_the_stream_and_refuses_no_prompt(
    fails: Callable[..., str], options: list[str], tmp_path: Path
) -> None:
    assert main(["stream", written(tmp_path, f"{PROMPT}\n"), *options]) == 0
    prompts = written(tmp_path, f"{PROMPT}\n{OTHER}\n")
    message = fails("stream", prompts, *options, "--adapter.rank", "3")
    assert "holds adapters of" in message
    assert [row["status"] for row in record(tmp_path / "run")] == ["made"]
    assert main(["stream", prompts, *options]) == 0
    assert [row["status"] for row in record(tmp_path / "run")] == ["kept", "made"]


def test_all_refused_is_an_error(fails: Callable[..., str], options: list[str], tmp_path: Path) -> None:
    missing = '{"prompt": "A dog moves up", "layout": "no.json"}'
    message = fails("stream", written(tmp_path, missing, "p.jsonl"), *options)
    assert "every prompt" in message
    assert str(tmp_path / "no.json") in message
    assert record(tmp_path / "run")[0]["status"] == "refused"


def test_settings_that_cannot_work_stop_the_stream_before_the_model_is_loaded(
    fails: Callable[..., str], options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ttom.backbones.load_backbone", not_again)
    prompts = written(tmp_path, f"{PROMPT}\n{OTHER}\n")
    assert "unknown loss 'kl'" in fails("stream", prompts, *options, "--tto.loss", "kl")
    biased = ["--bias.strength", "5", "--tto.downsample", "2"]
    assert "--tto.downsample is 2" in fails("stream", prompts, *options, *biased)
    assert not (tmp_path / "run").exists()


def test_a_layout_lies_beside_the_prompts_file(options: list[str], tmp_path: Path) -> None:
    assert main(["plan", PROMPT, "--out", str(tmp_path / "plan.json")]) == 0
    row = json.dumps({"prompt": PROMPT, "layout": "plan.json", "seed": 3})
    assert main(["stream", written(tmp_path, row, "p.jsonl"), *options]) == 0
    report = json.loads((next((tmp_path / "run").glob(f"{FIRST}-*")) / "report.json").read_text())
    assert (report["layout_source"], report["seed"]) == ("file", 3)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_shows_prompts_and_stages(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["stream", written(tmp_path, OTHER), *options, *(["--quiet"] if quiet else [])]) == 0
    if quiet:
        assert screen.getvalue() == ""
        return
    for words in ("prompts", "1/1", "loading", "optimizing", "4/4", "sampling", "decoding", "loss 0."):
        assert words in screen.getvalue(), words


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.md", "A cat", "the ending .md"),
        ("p", "A cat", "the ending none"),
        ("p.txt", "", "no prompts"),
        ("p.txt", "# only\n\n", "no prompts"),
        ("p.jsonl", "", "no prompts"),
        ("p.csv", "", "no prompts"),
        ("p.csv", "prompt\n", "no prompts"),
        ("p.jsonl", '{"prompt": "A cat"}\n\n{"prompt"', "line 3 is not JSON"),
        ("p.jsonl", '["A cat"]', "line 1 is not a JSON object"),
        ("p.jsonl", '{"prompt": "A cat"}\n{"text": "A cat"}', "line 2 has no prompt"),
        ("p.jsonl", '{"prompt": 3}', "line 1 has no prompt"),
        ("p.jsonl", '{"prompt": "A cat", "seed": 1.5}', "the seed 1.5"),
        ("p.jsonl", '{"prompt": "A cat", "seed": true}', "the seed True"),
        ("p.jsonl", '{"prompt": "A cat", "seed": -1}', "the seed -1"),
        ("p.jsonl", '{"prompt": "A cat", "layout": {}}', "the layout {}"),
        ("p.jsonl", '{"prompt": "A cat", "id": []}', "the id []"),
        ("p.csv", "text,id\nA cat,1\n", "the columns text, id"),
        ("p.csv", "prompt,id\nA cat,1\n,2\n", "line 3 has no prompt"),
        ("p.csv", "prompt,id\nA cat, and a dog,1\n", "line 2 has more cells"),
        ("p.csv", "prompt,seed\nA cat,one\n", "the seed 'one'"),
        ("p.csv", 'prompt\n"A cat\n', "is not CSV"),
        ("p.jsonl", '{"prompt": "A", "id": "x"}\n{"prompt": "B", "id": "x"}\n{"prompt": "C", "id": 2}', "the id 'x'"),
        ("p.csv", "prompt,id\nA,1\nB,2\nC,2\nD,1\n", "the id '1', '2'"),
    ],
)
def test_bad_files(fails: Callable[..., str], tmp_path: Path, name: str, text: str, expected: str) -> None:
    message = fails("stream", written(tmp_path, text, name), "--out", str(tmp_path / "run"))
    assert expected in message
    assert not (tmp_path / "run").exists()


def test_files_that_cannot_be_read(fails: Callable[..., str], tmp_path: Path) -> None:
    assert "does not exist" in fails("stream", str(tmp_path / "no.txt"))
    (tmp_path / "folder.txt").mkdir()
    assert "cannot be read" in fails("stream", str(tmp_path / "folder.txt"))
    (tmp_path / "latin.txt").write_bytes(b"A caf\xe9")
    assert "not in UTF-8" in fails("stream", str(tmp_path / "latin.txt"))


def test_an_unknown_model_or_place_is_found_before_the_work(fails: Callable[..., str], tmp_path: Path) -> None:
    prompts = written(tmp_path, OTHER)
    assert "unknown model" in fails("stream", prompts, "--model", "no-such-model", "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert "is not a folder" in fails("stream", prompts, "--out", written(tmp_path, "", "file"))
    assert "looks like a file" in fails("stream", prompts, "--out", prompts)


def test_options_are_those_of_generate() -> None:
    command = parse("stream p.txt --preset released --memory.path m --tto.iterations 3 --seed 4".split())
    assert isinstance(command, Stream)
    assert (command.prompts, command.seed, command.settings.memory.path) == (Path("p.txt"), 4, "m")
    assert command.settings.tto.lr == released().tto.lr and command.settings.tto.iterations == 3


def test_help_imports_neither_torch_nor_diffusers() -> None:
    code = "from ttom.cli import main\ntry:\n    main(['stream', '--help'])\nexcept SystemExit:\n    pass"
    found, printed = heavy_imports(code)
    assert found == []
    assert "PROMPTS" in printed and "--memory.path" in printed
