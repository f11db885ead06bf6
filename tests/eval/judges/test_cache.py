"""The answer cache: nothing lost, nothing mixed up, whoever else writes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eval.judges import cache as caching
from eval.judges.cache import AnswerCache, answer_key, versions
from eval.types import Answer, Question
from ttom.errors import UserError

SHA = "ab" * 32
ROOT = Path(__file__).resolve().parents[3]


def question(text: str = "cat", **options: object) -> Question:
    return Question(kind="detect", text=text, options=options)


def answer(asked: Question, value: object, sha: str = SHA, version: str = "1") -> Answer:
    return Answer(video_sha256=sha, judge="toy", judge_version=version, question=asked, value=value)


def test_answers_come_back_later(tmp_path: Path) -> None:
    value = [[{"box": [0.1, 0.2, 0.3, 0.4], "text": "é \n 'x'"}], None, True, 1e-9]
    with AnswerCache(tmp_path, "toy", "1") as cache:
        assert cache.get(SHA, question()) is None
        cache.put(answer(question(), value))
        assert cache.has(SHA, question()) and cache.get(SHA, question()) == answer(question(), value)
    with AnswerCache(tmp_path, "toy", "1") as again:
        assert len(again) == 1
        assert again.get(SHA, question()) == answer(question(), value)


def test_all_four_parts_decide(tmp_path: Path) -> None:
    base = answer_key(SHA, "toy", "1", question(frames=16, box=0.3))
    assert base == answer_key(SHA, "toy", "1", question(box=0.3, frames=16))  # the order of options does not matter
    others = [
        answer_key("cd" * 32, "toy", "1", question(frames=16, box=0.3)),
        answer_key(SHA, "toy2", "1", question(frames=16, box=0.3)),
        answer_key(SHA, "toy", "2", question(frames=16, box=0.3)),
        answer_key(SHA, "toy", "1", question(frames=17, box=0.3)),
        answer_key(SHA, "toy", "1", question("dog", frames=16, box=0.3)),
    ]
    assert len({base, *others}) == 6
    with AnswerCache(tmp_path, "toy", "1") as one, AnswerCache(tmp_path, "toy", "2") as two:
        one.put(answer(question(), 1))
        two.put(answer(question(), 2, version="2"))
        with pytest.raises(ValueError, match="cache of toy"):
            one.put(answer(question(), 3, version="2"))
    assert sorted(versions(tmp_path)) == [("toy", "1"), ("toy", "2")]


def test_a_torn_line_loses_only_itself(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, "toy", "1") as cache:
        cache.put(answer(question("cat"), 1))
        cache.put(answer(question("dog"), 2))
    (file,) = tmp_path.glob("*/*/*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    with AnswerCache(tmp_path, "toy", "1") as cache:
        assert cache.has(SHA, question("cat")) and not cache.has(SHA, question("dog"))
        cache.put(answer(question("dog"), 3))
    found = AnswerCache(tmp_path, "toy", "1").get(SHA, question("dog"))
    assert found is not None and found.value == 3


def test_foreign_and_broken_lines_are_skipped(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, "toy", "1") as cache:
        cache.put(answer(question(), 1))
    (file,) = tmp_path.glob("*/*/*.jsonl")
    key = answer_key(SHA, "toy", "1", question("dog"))
    file.write_bytes(b"\n[]\nnonsense\n" + f'{{"key":"{key}","value":\n'.encode() + file.read_bytes())
    (file.parent / "notes.txt").write_text("mine")
    cache = AnswerCache(tmp_path, "toy", "1")
    assert cache.get(SHA, question()) is not None
    assert cache.get(SHA, question("dog")) is None


def test_what_is_no_json_is_not_kept(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, "toy", "1") as cache, pytest.raises(ValueError):
        cache.put(answer(question(), float("nan")))
    assert not list(tmp_path.rglob("*.jsonl"))


def test_several_processes_and_threads_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom eval.judges.cache import AnswerCache\n"
        "from eval.types import Answer, Question\n"
        "with AnswerCache(Path(sys.argv[1]), 'toy', '1') as cache:\n"
        "    for i in range(200):\n"
        "        q = Question(kind='detect', text=f'{sys.argv[2]}-{i}')\n"
        "        row = {'video_sha256': 'ab' * 32, 'judge': 'toy', 'judge_version': '1', 'value': 'x' * 500}\n"
        "        cache.put(Answer(**row, question=q))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("one", "two")]
    with AnswerCache(tmp_path, "toy", "1") as cache:

        def write(name: str) -> None:
            for i in range(200):
                cache.put(answer(question(f"{name}-{i}"), i))

        threads = [threading.Thread(target=write, args=(name,)) for name in ("three", "four")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait(60) for process in running] == [0, 0]
        assert all(cache.has(SHA, question(f"three-{i}")) for i in range(200))
        cache.refresh()
        assert len(cache) == 800
        found = cache.get(SHA, question("four-199"))
        assert found is not None and found.value == 199


def test_reading_does_each_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking an answer up reads that answer alone, and refreshing reads only what is new: work grows linearly."""
    with AnswerCache(tmp_path, "toy", "1") as cache:
        for i in range(300):
            cache.put(answer(question(str(i)), i))
    reads: list[int] = []
    original = caching._parse
    monkeypatch.setattr(caching, "_parse", lambda line: reads.append(len(line)) or original(line))
    cache = AnswerCache(tmp_path, "toy", "1")
    assert not reads  # keys alone
    assert all(cache.get(SHA, question(str(i))).value == i for i in range(300))  # type: ignore[union-attr]
    assert len(reads) == 300 and max(reads) < 400
    positions = dict(cache._read_to)
    cache.refresh()
    assert cache._read_to == positions


def test_names_that_are_no_file_names(tmp_path: Path) -> None:
    name = "vlm-Qwen/Qwen2.5-VL:72b ../.."
    with AnswerCache(tmp_path, name, "1") as cache:
        cache.put(Answer(video_sha256=SHA, judge=name, judge_version="1", question=question(), value=1))
    assert AnswerCache(tmp_path, name, "1").has(SHA, question())
    assert len(list(tmp_path.glob("*/1/*.jsonl"))) == 1
    assert list(versions(tmp_path)) == [(name, "1")]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("a file")
    with pytest.raises(UserError, match="cannot"), AnswerCache(tmp_path, "toy", "1") as cache:
        cache.put(answer(question(), 1))


def test_lines_are_readable_json(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, "toy", "1") as cache:
        cache.put(answer(question(), [1]))
    (file,) = tmp_path.glob("toy/1/*.jsonl")
    line = json.loads(file.read_text())
    assert line["video_sha256"] == SHA and line["question"]["text"] == "cat" and line["value"] == [1]
