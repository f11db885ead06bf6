"""T2V-CompBench V2 as it lies on disk or at the official repository, with the mistakes that were met in such files."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eval.suites import Options, Suite, datafiles, load_suite
from eval.suites.compbench import CATEGORIES, UPSTREAM
from ttom.errors import UserError

REVISION = "0123456789abcdef0123456789abcdef01234567"
ITEMS = {
    "spatial_relationships": [
        {"prompt": "A dog on the left of a bicycle", "spatial": "left", "object_1": "dog", "object_2": "bicycle"},
        {"prompt": "A cat sitting behind a cake", "spatial": "behind", "object_1": "cat", "object_2": "cake"},
        {"prompt": "A llama on a box", "spatial": "on", "object_1": "llama", "object_2": "box"},
        {"prompt": "A frog under a birthday cake", "spatial": "under", "object_1": "frog", "object_2": "birthday cake"},
    ],
    "motion_binding": [
        {"prompt": "A golden leaf flutters upward and a parrot swoops downward", "object_1": "golden leaf", "d_1": "up",
         "object_2": "parrot", "d_2": "down"},
        {"prompt": "A squirrel darting leftwards", "object_1": "squirrel", "d_1": "left", "object_2": "", "d_2": ""},
    ],
    "generative_numeracy": [
        {"prompt": "Two fish and three frogs rest.", "objects": "fish, frog", "numbers": "2, 3"},
        {"prompt": "Four people sit.", "objects": "person", "numbers": "4"},
    ],
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in the official form, small."""
    folder = tmp_path / "data"
    for name in ("prompts", "meta_data"):
        (folder / name).mkdir(parents=True)
    for category in CATEGORIES:
        default = [{"prompt": f"A thing number {i}", **dict.fromkeys(category.fields, "x")} for i in range(2)]
        items = ITEMS.get(category.folder, default)
        lines = "\n".join(item["prompt"] for item in items)
        (folder / "prompts" / f"{category.prompts}.txt").write_text(lines)
        (folder / "meta_data" / f"{category.metadata}.json").write_text(json.dumps(items, indent=4))
    return folder


def load(data: Path, name: str = "compbench") -> Suite:
    return load_suite(name, Options(data=data))


def test_ids_files_and_facts(data: Path) -> None:
    suite = load(data)
    assert len(suite.cases) == 16
    case = next(case for case in suite.cases if case.id == "motion_binding-0002")
    assert case.video == "motion_binding/0002.mp4" and case.category == "motion_binding"
    assert case.prompt == "A squirrel darting leftwards"
    assert case.facts == {"object_1": "squirrel", "d_1": "left", "object_2": "", "d_2": ""}


def test_a_case_does_not_depend_on_the_others(data: Path) -> None:
    everything = {case.id: case for case in load(data).cases}
    some = load_suite("compbench", Options(data=data, categories=("interaction",), limit=1))
    assert [everything[case.id] for case in some.cases] == list(some.cases)
    assert some.revision == load(data).revision, "the same suite, whatever part of it"


def metadata(data: Path, change: Callable[[str], str], name: str = "motion_binding") -> None:
    file = data / "meta_data" / f"{name}.json"
    file.write_text(change(file.read_text()))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("},\n", "}\n"),
        lambda text: text.replace("}\n]", "},\n]"),
        lambda text: text.replace('"d_1": "left",', '"d_1": "left"'),
        lambda text: text.replace('"d_2": ""', '"d_2": "",'),
        lambda text: "\ufeff" + text.replace("},\n", "}\n"),
    ],
    ids=["no comma between objects", "a last comma", "no comma after a field", "a comma too many", "byte order mark"],
)
def test_metadata_that_does_not_parse_is_repaired(data: Path, change: Callable[[str], str]) -> None:
    good = load(data)
    metadata(data, change)
    found = load(data)
    assert found.cases == good.cases and found.revision == good.revision
    assert found.source == "data; repaired: motion_binding"


def test_small_differences_to_the_prompt_are_upstreams_own(data: Path) -> None:
    metadata(data, lambda text: text.replace("A squirrel darting leftwards", "a squirrel darting leftwards."))
    assert load(data).cases == load(data).cases


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-20], "is not JSON.*repair the file"),
        (lambda text: json.dumps(json.loads(text)[::-1]), "entry 1 describes 'A squirrel.*but line 1"),
        (lambda text: json.dumps(json.loads(text)[:1]), "has 1 entries, .* 2 lines"),
        (lambda text: text.replace('"d_1"', '"d_one"'), "entry 1 is incomplete"),
        (lambda text: "{}", "has no entries"),
    ],
    ids=["cut off", "another order", "too few", "a field is missing", "no list"],
)
def test_metadata_that_cannot_be_used(data: Path, change: Callable[[str], str], message: str) -> None:
    metadata(data, change)
    with pytest.raises(UserError, match=f"(?s){message}"):
        load(data)


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1_consistent_attr.txt does not exist"):
        load(tmp_path)


def test_what_emojiworld_covers(data: Path) -> None:
    suite = load(data, "compbench-emojiworld")
    facts = {case.id: case.facts for case in suite.cases}
    assert facts["spatial_relationships-0001"]["relation"] == ["dog", "bicycle", "left"]
    assert facts["spatial_relationships-0004"]["relation"] == ["frog", "cake", "below"]
    assert facts["motion_binding-0001"]["directions"] == [["leaf", "up"], ["parrot", "down"]]
    assert facts["motion_binding-0002"]["directions"] == [["squirrel", "left"]]
    assert facts["generative_numeracy-0001"]["counts"] == [["fish", 2], ["frog", 3]]
    assert facts["generative_numeracy-0002"]["nouns"] == ["person"]
    assert {dropped.prompt: dropped.reason for dropped in suite.dropped} == {
        "A cat sitting behind a cake": "the relation 'behind' needs depth",
        "A llama on a box": "no sprite for 'llama'",
    }


def test_covered_cases_have_the_seeds_and_files_of_the_whole_suite(data: Path) -> None:
    everything = {case.id: (case.seed, case.video, case.prompt) for case in load(data).cases}
    for case in load(data, "compbench-emojiworld").cases:
        assert everything[case.id] == (case.seed, case.video, case.prompt)


@pytest.fixture
def official(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server that holds the files as GitHub does; the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            raw = f"/{UPSTREAM.repository}/{REVISION}/"
            if self.path == f"/{UPSTREAM.repository}/commits/{UPSTREAM.branch}":
                body = json.dumps({"sha": REVISION}).encode()
            elif self.path.startswith(raw) and (data / self.path.removeprefix(raw)).is_file():
                body = (data / self.path.removeprefix(raw)).read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("API", "RAW"):
            monkeypatch.setattr(datafiles, name, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(datafiles, "CACHE", tmp_path / "cache")
        yield asked
        server.shutdown()


def test_from_the_official_repository(data: Path, official: list[str]) -> None:
    suite = load_suite("compbench", Options())
    assert suite.cases == load(data).cases and suite.source == f"{UPSTREAM.repository}@{REVISION}"
    assert len(official) == 15
    load_suite("compbench-emojiworld", Options())
    assert len(official) == 16, "the second time only the revision is asked for"


def test_a_repository_that_lost_a_file_leaves_nothing_behind(data: Path, official: list[str], tmp_path: Path) -> None:
    (data / "meta_data" / "motion_binding.json").unlink()
    with pytest.raises(UserError, match="motion_binding.json cannot be downloaded: Not Found"):
        load_suite("compbench", Options())
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_repository_that_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafiles, "API", "http://127.0.0.1:9")
    monkeypatch.setattr(datafiles, "CACHE", tmp_path)
    with pytest.raises(UserError, match="(?s)cannot be downloaded.*`data=DIR`, a copy of the repository"):
        load_suite("compbench", Options())
    (tmp_path / "KaiyueSun98--T2V-CompBench" / REVISION).mkdir(parents=True)
    with pytest.raises(UserError, match=f"(?s)`data=.*{REVISION}"):
        load_suite("compbench", Options())


@pytest.mark.skipif("COMPBENCH_DATA" not in os.environ, reason="COMPBENCH_DATA names no copy of T2V-CompBench V2")
def test_the_real_data() -> None:
    real = Path(os.environ["COMPBENCH_DATA"])
    suite = load(real)
    assert len(suite.cases) == 1400
    covered = load(real, "compbench-emojiworld")
    assert len(covered.cases) >= 300 and len(covered.cases) + len(covered.dropped) == 600
