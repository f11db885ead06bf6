"""`ttom stream` on the tiny random pipeline: order, memory, refusals, interruption and going on, and bad files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import ttom
from tests.cli.conftest import PROMPT
from tests.cli.streaming import written
from ttom import TTOM, files
from ttom.cli import main
from ttom.cli.app import parse
from ttom.cli.arguments import Stream
from ttom.errors import SetupError
from ttom.presets import released
from ttom.report import Report
from ttom.result import FILES

ROOT = Path(ttom.__file__).parents[1]


OTHER = "A dog moves up"


REFUSED = "slowly and beautifully"


FIRST, SECOND = "a-red-balloon-moves-from-left-to-right-above-a", "a-dog-moves-up"


@pytest.fixture
def options(small: list[str], tmp_path: Path) -> list[str]:
    return ["--memory.path", str(tmp_path / "memory"), "--out", str(tmp_path / "run"), *small]


def record(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "stream.jsonl").read_text(encoding="utf-8").splitlines()]


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/*")}


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

    monkeypatch.setattr("ttom.backbones.load_backbone", _not_again)
    before = times(out)
    assert main(["stream", prompts, *options, "--memory.threshold", "1", "--memory.dtype", "float32"]) == 0
    assert times(out) == before
    again = record(out)
    assert [row | {"status": "made"} for row in again] == rows
    assert "0 made, 3 kept" in capsys.readouterr().out


def _not_again(*_: Any, **__: Any) -> None:
    raise AssertionError("the model was loaded although nothing is left to make")


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


@pytest.mark.parametrize("change", ["seed", "prompt", "method", "setting", "layout", "model", "dtype", "tiling"])
def test_what_decides_a_video_makes_it_anew_and_keeps_the_old_one(
    options: list[str], tmp_path: Path, change: str, tiny_folder: Path
) -> None:
    out, more = tmp_path / "run", ["--method", "base"]
    assert main(["plan", OTHER, "--out", str(tmp_path / "l.json")]) == 0
    row: dict[str, Any] = {"prompt": OTHER, "id": "x", "layout": "l.json"}
    assert main(["stream", written(tmp_path, json.dumps(row), "p.jsonl"), *options, *more]) == 0
    (folder,) = out.glob("x-*")
    before = times(out)
    if change == "seed":
        row["seed"] = 5
    elif change == "prompt":
        row["prompt"] = "The dog moves up"
    elif change == "method":
        more = []
    elif change == "setting":
        more += ["--sampler.guidance-scale", "1.5"]
    elif change == "dtype":
        more += ["--dtype", "bfloat16"]
    elif change == "tiling":
        more += ["--runtime.vae-tiling"]
    elif change == "layout":  # edited in its place
        path = tmp_path / "l.json"
        path.write_text(path.read_text().replace('"x0": 0.', '"x0": 0.0', 1))
    else:
        copy = shutil.copytree(tiny_folder, tmp_path / "other")
        weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
        state = load_file(weights)
        state["proj_out.bias"] += 1
        save_file(state, weights, metadata={"format": "pt"})
        more += ["--model", str(copy)]
    assert main(["stream", written(tmp_path, json.dumps(row), "p.jsonl"), *options, *more]) == 0
    assert record(out)[0]["status"] == "made"
    assert len(list(out.glob("x-*"))) == 2
    assert {name: time for name, time in times(out).items() if name.startswith(folder.name)} == before


def test_another_check_of_several_tries_makes_the_video_anew(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finder(check: str, *_: Any) -> tuple[str, Any]:
        return check, lambda video, nouns: [[] for _ in video]

    monkeypatch.setattr("ttom.pipeline.find_finder", finder)
    prompts, out = written(tmp_path, OTHER), tmp_path / "run"
    for tries, check, status in (
        ("2", "one", "made"),
        ("2", "one", "kept"),
        ("2", "two", "made"),
        ("1", "one", "made"),
        ("1", "two", "kept"),
    ):
        given = ["--method", "base", "--tries", tries, "--check", check]
        assert main(["stream", prompts, *options, *given]) == 0
        assert record(out)[0]["status"] == status, (tries, check)
    assert len(list(out.glob("a-dog*"))) == 3


@pytest.mark.parametrize("change", ["report", "no video", "empty video", "other video"])
def test_half_a_folder_is_made_again(options: list[str], tmp_path: Path, change: str) -> None:
    out, same = tmp_path / "run", ["--method", "base", *options]
    prompts = written(tmp_path, OTHER)
    assert main(["stream", prompts, *same]) == 0
    (folder,) = out.glob("a-dog*")
    video = (folder / "video.mp4").read_bytes()
    if change == "report":
        (folder / "report.json").write_text('{"prompt": "A dog moves up"')
    elif change == "no video":
        (folder / "video.mp4").unlink()
    else:
        (folder / "video.mp4").write_bytes(b"" if change == "empty video" else video[:-1] + b"x")
    assert main(["stream", prompts, *same]) == 0
    assert record(out)[0]["status"] == "made"
    assert (folder / "video.mp4").read_bytes() == video


def test_a_prompt_inserted_in_front_makes_nothing_else_anew(options: list[str], tmp_path: Path) -> None:
    out, same = tmp_path / "run", ["--method", "base", *options]
    assert main(["stream", written(tmp_path, f"{OTHER}\n{PROMPT}"), *same]) == 0
    before = times(out)
    assert main(["stream", written(tmp_path, f"The dog moves up\n{PROMPT}\n{OTHER}"), *same]) == 0
    assert [row["status"] for row in record(out)] == ["made", "kept", "kept"]
    assert before.items() <= times(out).items()


def test_a_second_stream_into_the_same_folder_is_refused(
    fails: Callable[..., str], options: list[str], tmp_path: Path
) -> None:
    with files.only_writer(tmp_path / "run"):
        assert "another process writes to" in fails("stream", written(tmp_path, OTHER), *options)
    assert main(["stream", written(tmp_path, OTHER), *options, "--method", "base"]) == 0


def test_a_killed_prompt_does_not_find_its_own_entry(options: list[str], tmp_path: Path) -> None:
    """Its video is damaged after the memory took the adapter in; a prompt that comes twice still learns."""
    prompts, out = written(tmp_path, f"{OTHER}\n{OTHER}"), tmp_path / "run"
    assert main(["stream", prompts, *options]) == 0
    first = record(out)
    for row in first:
        (out / row["folder"] / "video.mp4").write_bytes(b"")
    assert main(["stream", prompts, *options]) == 0
    again = record(out)
    assert [row["hit"] for row in first] == [row["hit"] for row in again] == [False, True]
    assert first[0]["loss_first"] == again[0]["loss_first"]


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
    monkeypatch.setattr("ttom.backbones.load_backbone", _not_again)
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


def test_ctrl_c_then_going_on(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = written(tmp_path, f"{PROMPT}\n{OTHER}\n{OTHER}\n"), tmp_path / "run"
    generate, calls = TTOM.generate, []

    def interrupted(self: TTOM, prompt: str, **given: Any) -> Any:
        calls.append(prompt)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return generate(self, prompt, **given)

    monkeypatch.setattr(TTOM, "generate", interrupted)
    assert main(["stream", prompts, *options]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert [row["status"] for row in record(out)] == ["made"]
    assert [path.name[:-9] for path in out.glob("*-*")] == [FIRST]
    assert main(["stream", prompts, *options]) == 0
    assert calls == [PROMPT, OTHER, OTHER, OTHER]
    assert [row["status"] for row in record(out)] == ["kept", "made", "made"]


def test_ctrl_c_while_writing_leaves_no_folder_that_counts(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, out = written(tmp_path, f"{OTHER}\n"), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(Report, "save", _press)
        assert main(["stream", prompts, "--method", "base", *options]) == 130
    assert list(out.glob("*/*")) == []
    assert main(["stream", prompts, "--method", "base", *options]) == 0
    assert record(out)[0]["status"] == "made"


def _press(*_: Any) -> None:
    raise KeyboardInterrupt


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
        ("p.jsonl", '["A cat"]', "line 1 is no JSON object"),
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
    code = (
        "import sys\nfrom ttom.cli import main\n"
        "try:\n    main(['stream', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'lightning', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "PROMPTS" in done.stdout and "--memory.path" in done.stdout
