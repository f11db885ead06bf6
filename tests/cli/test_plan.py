"""`ttom plan` for many prompts, imports and the LLM planner; `generate` and `stream` with it. From the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.chat_server import ChatServer, Reply, completion
from ttom.cli import main
from ttom.cli.app import parse
from ttom.cli.arguments import Plan
from ttom.layout.model import load_layout

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "A red balloon moves from left to right above a blue house"
OBJECTS = [("red balloon", "balloon"), ("blue house", "house")]
BOX = "{'id': 0, 'name': 'dog', 'box': [%d, 256, 100, 50]}"
ANSWER = "\n".join(f"Frame {k}: [{BOX % (80 * k)}]" for k in range(1, 7))


@pytest.fixture
def server(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """The chat server as the environment names it."""
    server.objects = OBJECTS
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    return server


@pytest.fixture
def llm(tmp_path: Path) -> list[str]:
    return ["--planner", "llm", "--planner.cache-dir", str(tmp_path / "cache"), "--planner.timeout", "5"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_short_and_long_spellings() -> None:
    short = parse(["plan", "x", "--planner", "llm", "--strict", "--offline"])
    long = parse(["plan", "x", "--planner.kind", "llm", "--planner.strict", "--planner.offline"])
    assert isinstance(short, Plan)
    assert short == long
    assert (short.planner.kind, short.planner.strict, short.planner.offline) == ("llm", True, True)
    for command in ("generate", "stream"):
        settings = parse([command, "x", "--planner", "llm", "--strict", "--offline"]).settings  # type: ignore[union-attr]
        assert settings.planner == short.planner


def test_one_prompt_by_the_llm(
    server: ChatServer, llm: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", PROMPT, *llm]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["source"] == "llm"
    assert "4 requests, 400 tokens sent, 40 received" in printed.err
    assert main(["plan", PROMPT, *llm, "--offline", "--draw", str(tmp_path / "sheet.png")]) == 0
    assert "1 from the cache" in capsys.readouterr().err
    assert Image.open(tmp_path / "sheet.png").format == "PNG"
    animation = Image.open(tmp_path / "sheet.gif")
    assert (animation.format, animation.n_frames) == ("GIF", 25)  # type: ignore[attr-defined]


def test_a_file_of_prompts_then_its_stream(
    server: ChatServer, llm: list[str], tmp_path: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": PROMPT, "id": "one", "seed": 5}, {"prompt": "slowly and beautifully"}, {"prompt": PROMPT + "."}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def behave(request: Any, number: int) -> Any:
        if "slowly" in request.data["prompt"]:
            return {"objects": []}
        return Reply({}, 400) if request.data["prompt"].endswith(".") else None

    server.behave = behave
    out = tmp_path / "plans"
    drawn = ["--draw", str(tmp_path / "sheet.png"), "--width", "32", "--height", "16"]
    assert main(["plan", "--prompts", str(tmp_path / "in.jsonl"), "--out", str(out), *drawn, *llm]) == 0
    record, stream = lines(out / "plan.jsonl"), lines(out / "prompts.jsonl")
    assert [row["status"] for row in record] == ["planned", "refused", "fallback"]
    assert record[2]["fallback"].startswith("the server answered 400")
    assert stream == [
        {"prompt": PROMPT, "id": "one", "seed": 5, "layout": "0001-one.json"},
        {"prompt": PROMPT + ".", "layout": record[2]["layout"]},
    ]
    assert load_layout(out / stream[0]["layout"]).source == "llm"
    assert load_layout(out / stream[1]["layout"]).source == "rules"
    assert len(list(out.glob("*.gif"))) == 2
    assert Image.open(tmp_path / "sheet.png").format == "PNG"
    printed = capsys.readouterr()
    assert "2 of 3 planned, 1 of them by the rules planner instead of the LLM" in printed.out
    assert "0002-slowly-and-beautifully was refused" in printed.err
    done = main(["stream", str(out / "prompts.jsonl"), "--method", "base", "--out", str(tmp_path / "videos"), *small])
    assert done == 0
    assert sorted(path.parent.name[:4] for path in (tmp_path / "videos").glob("*/layout.json")) == ["a-re", "one-"]


def test_generate_reports_how_the_layout_came_about(
    server: ChatServer, llm: list[str], tmp_path: Path, small: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    chosen = ["--planner.stages", "enrich", "one-call", "--planner.video-text", "enriched"]
    price = ["--planner.input-price", "1", "--planner.output-price", "2"]
    memory = ["--memory.path", str(tmp_path / "memory")]
    assert main(["generate", PROMPT, "--out", str(tmp_path / "a"), *llm, *chosen, *price, *memory, *small]) == 0
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    planner = report["planner"]
    assert (report["prompt"], report["layout_source"]) == (PROMPT, "llm")
    assert report["video_prompt"] == planner["enriched_prompt"] == f"{PROMPT}, in the golden light of a calm evening."
    assert planner["cost_usd"] == pytest.approx(2 * (100 * 1 + 10 * 2) / 1e6)
    assert planner["fallback"] is None
    assert "sk-secret" not in (tmp_path / "a" / "report.json").read_text()
    # The plain model gets the same text.
    base = ["generate", PROMPT, "--method", "base", "--out", str(tmp_path / "b"), *llm, *chosen, *small]
    assert main(base) == 0
    base_report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert base_report["video_prompt"] == report["video_prompt"]
    server.behave = lambda request, number: Reply(completion(None, refusal="no"))
    again = ["generate", PROMPT, "--out", str(tmp_path / "c"), *llm, "--planner.refresh", *small]
    assert main(again) == 0
    assert "planned by the rules instead" in caplog.text
    report = json.loads((tmp_path / "c" / "report.json").read_text())
    assert (report["layout_source"], report["planner"]["fallback"]) == ("rules", "the model refused: no")


def test_stream_plans_ahead_and_names_a_bad_key_once(
    server: ChatServer, llm: list[str], tmp_path: Path, small: list[str], fails: Callable[..., str]
) -> None:
    (tmp_path / "in.txt").write_text(f"{PROMPT}\nA red balloon rises above a blue house\n")
    wanted = ["stream", str(tmp_path / "in.txt"), "--method", "base", "--out", str(tmp_path / "out"), *llm, *small]
    server.behave = lambda request, number: Reply({"error": {"message": "wrong"}}, 401)
    assert "does not accept the key" in fails(*wanted)
    assert not (tmp_path / "out" / "stream.jsonl").exists()
    server.behave = lambda request, number: None
    assert main(wanted) == 0
    sources = [json.loads(path.read_text())["layout_source"] for path in (tmp_path / "out").glob("*/report.json")]
    assert sources == ["llm", "llm"]


@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_a_bar_on_a_terminal(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    (tmp_path / "prompts.txt").write_text("A cat moves left\nA dog moves up\n")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    assert main(["plan", "--prompts", str(tmp_path / "prompts.txt"), "--out", str(tmp_path / "out"), *options]) == 0
    shown = screen.getvalue()
    assert ("planning" in shown and "━" in shown and "2/2" in shown) if not options else shown == ""


def test_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(json.dumps({"a dog": [ANSWER], "a cat": [ANSWER], "the dog": ["nothing", ANSWER]}))
    out = tmp_path / "out"
    assert main(["plan", "--import", str(cache), "--out", str(out)]) == 0
    assert [row["status"] for row in lines(out / "plan.jsonl")] == ["planned", "refused", "planned"]
    assert sorted(path.name for path in out.glob("0*.json")) == ["0001-a-dog.json", "0003-the-dog.json"]
    printed = capsys.readouterr()
    assert "2 of 3 imported" in printed.out
    assert "'dog' does not occur in the prompt" in printed.err
    (tmp_path / "raw.txt").write_text(ANSWER)
    one = ["plan", "a dog", "--import", str(tmp_path / "raw.txt"), "--canvas", "600", "400", "--out", str(out)]
    assert main(one) == 0
    assert load_layout(out / "0001-a-dog.json").objects[0].key_frames[0].box.y0 == 0.64


def test_bad_usage(tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    cache, prompts, out = str(tmp_path / "cache.json"), str(tmp_path / "in.txt"), ["--out", str(tmp_path / "out")]
    Path(cache).write_text(json.dumps({"a cat": [ANSWER]}))
    Path(prompts).write_text("slowly\n")
    assert "nothing to plan" in fails("plan")
    assert "several layouts need a folder" in fails("plan", "--import", cache)
    assert "goes with neither" in fails("plan", "--import", cache, "--prompts", prompts, *out)
    assert "goes with neither" in fails("plan", PROMPT, "--prompts", prompts, *out)
    assert "--canvas" in fails("plan", PROMPT, "--canvas", "7", "7")
    assert "--canvas" in fails("plan", "--import", cache, "--canvas", "0", "7", *out)
    assert ".png" in fails("plan", PROMPT, "--draw", str(tmp_path / "x.gif"))
    assert "no prompt could be imported" in fails("plan", "--import", cache, *out)
    assert "no prompt could be planned" in fails("plan", "--prompts", prompts, *out)
    assert "does not exist" in fails("plan", "--import", str(tmp_path / "none"), *out)
    for name, text in (("half.jsonl", '{"prompt": "a cat \\ud800"}'), ("half.json", '{"a cat \\ud800": ["x"]}')):
        (tmp_path / name).write_text(text)
        option = "--prompts" if name.endswith("l") else "--import"
        assert "not valid Unicode" in fails("plan", option, str(tmp_path / name), *out)
    assert "not valid Unicode" in fails("plan", "a cat \udcff")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert "OPENAI_API_KEY is not set" in fails("plan", PROMPT, "--planner", "llm")
    assert "OPENAI_API_KEY is not set" in fails("generate", PROMPT, "--planner", "llm", "--method", "base")
    assert "has no plan of the prompt" in fails("plan", PROMPT, "--planner", "llm", "--offline",
                                                "--planner.cache-dir", str(tmp_path))  # fmt: skip
    for option, value in (
        ("stages", "layout"), ("stages", "enrich"), ("repair-rounds", "-1"), ("timeout", "nan"), ("model", " "),
        ("concurrency", "0"), ("min-size", "0.6"), ("temperature", "-1"), ("key-variable", "sk-secret"),
        ("base-url", "localhost"),
    ):  # fmt: skip
        message = fails("plan", PROMPT, f"--planner.{option}", value)
        assert f"--planner.{option}" in message
        assert "sk-secret" not in message


def test_ctrl_c_while_the_server_is_silent(server: ChatServer, llm: list[str]) -> None:
    server.behave = lambda request, number: Reply({}, hang=20.0)
    command = [sys.executable, "-m", "ttom", "plan", PROMPT, *llm, "--planner.timeout", "60"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=10)
    assert process.returncode == 130
    assert message == "ttom: interrupted; no file was left half-written\n"


WRITER = """
import sys
from ttom.layout.llm.cache import PlanCache
cache, keys = PlanCache(sys.argv[1]), [PlanCache.key({"prompt": str(k)}) for k in range(4)]
for turn in range(40):
    for key in keys:
        cache.put(key, {"layout": {"text": "x" * 20000}, "report": {"turn": turn}})
        entry = cache.get(key)
        assert entry is not None and len(entry["layout"]["text"]) == 20000
"""


def test_processes_share_the_cache(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        _, message = process.communicate(timeout=60)
        assert process.returncode == 0, message
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert all(json.loads(path.read_text())["report"]["turn"] == 39 for path in files)
