"""The routes, on the embedded model."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from starlette.testclient import TestClient

from tests.studio.helpers import PROMPT, URL, wait, wait_until
from ttom.layout.model import Layout
from ttom.pipeline import TTOM
from ttom.presets import find_preset
from ttom.studio.app import Routes, make_app
from ttom.studio.guard import Access
from ttom.studio.studio import Studio

SHORT: dict[str, Any] = {"method": "bias", "settings": {"sampler.steps": 2}}
OPTIMIZED = {"sampler.steps": 2, "tto.guided_steps": 1, "tto.iterations": 1}


def plain(layout: Layout) -> dict[str, Any]:
    return layout.model_dump(mode="json")


@pytest.fixture(scope="module")
def biased(client: TestClient, layout: Layout) -> dict[str, Any]:
    """A finished run of method bias."""
    answer = client.post("/api/runs", json={**SHORT, "prompt": PROMPT, "layout": plain(layout), "seed": 3})
    assert answer.status_code == 202
    return wait(client, answer.json()["id"])


@pytest.fixture(scope="module")
def optimized(client: TestClient, layout: Layout) -> dict[str, Any]:
    """A finished run of method ttom, beside the plain model."""
    order = {"method": "ttom", "settings": OPTIMIZED, "prompt": PROMPT, "layout": plain(layout), "compare": True}
    return wait(client, client.post("/api/runs", json=order).json()["id"])


def test_info_says_all_that_the_page_must_know(client: TestClient) -> None:
    info = client.get("/api/info").json()
    assert (info["model"], info["family"]) == ("emojiworld-wan", "Wan")
    assert (info["width"], info["height"], info["frames"], info["grid"]) == (96, 64, 17, [5, 8, 12])
    assert "balloon" in info["nouns"] and info["planners"][0] == "rules" and info["memory"]
    assert {method["name"] for method in info["methods"]} >= {"base", "bias", "lvd", "ttom"}
    assert {item["name"] for item in info["formats"]["export"]} >= {"layout", "vace", "ati", "kjnodes", "comfyui"}


def test_a_prompt_is_planned_and_what_is_left_out_is_told(client: TestClient) -> None:
    found = client.post("/api/plan", json={"prompt": "A dog runs to the left in a dense forest", "planner": "rules"})
    layout = Layout.model_validate(found.json()["layout"])
    assert [item.phrase for item in layout.objects][0] == "dog" and found.json()["left_out"] == list(layout.left_out)


@pytest.mark.parametrize("prompt", ["", "   ", "qwxz fgh", "a\x1b[31mcat", "\ud800", "cat " * 6000])
def test_a_refused_prompt_says_why(client: TestClient, prompt: str) -> None:
    answer = client.post("/api/plan", content=json.dumps({"prompt": prompt}))
    assert answer.status_code == 422 and answer.json()["problem"] and "\x1b" not in answer.json()["problem"]


def test_problems_name_their_object(client: TestClient, layout: Layout) -> None:
    assert client.post("/api/check", json={"layout": plain(layout)}).json() == {"problems": []}
    prompt = "A zeppelin and a dog near a house with a cat"
    small = {"x0": 0.4, "y0": 0.4, "x1": 0.45, "y1": 0.9}
    large = {**small, "x1": 0.9}

    def item(name: str, box: dict[str, float], **more: Any) -> dict[str, Any]:
        return {"id": name, "phrase": name, "noun": name, "key_frames": [{"time": 0, "box": box}], **more}

    objects = [
        item("zeppelin", large), item("tiger", large), item("dog", small), item("cat", large, visible=[0.3, 0.31]),
        item("house", large),
    ]  # fmt: skip
    answer = client.post("/api/check", json={"layout": {"version": 1, "prompt": prompt, "objects": objects}}).json()
    told = {problem["object"]: problem for problem in answer["problems"]}
    assert sorted(told) == [0, 1, 2, 3]
    for index, words in enumerate(
        ("does not know 'zeppelin'", "does not occur", "smaller than one token", "visible at")
    ):
        assert words in told[index]["message"]
    assert [told[index]["frame"] for index in range(4)] == [None, None, 0, None]
    for problem in answer["problems"]:
        assert "`model`" not in problem["message"] and "layout file" not in problem["message"]
    assert "select its words" in told[1]["message"]


@pytest.mark.parametrize("prompt", ["red", "Un ballon rouge vole", "not a dog", "Hello"])
def test_a_refusal_advises_what_the_page_can_do(client: TestClient, prompt: str) -> None:
    """The planner's own words are those of the Python API."""
    told = client.post("/api/plan", json={"prompt": prompt}).json()
    assert "draw the boxes yourself" in told["remedy"] and not any("`" in (text or "") for text in told.values())


def test_a_run_with_words_that_are_not_in_the_prompt_advises_what_the_page_can_do(
    client: TestClient, layout: Layout
) -> None:
    for prompt, advice in (("A cat", "words in the prompt"), ("A zeppelin rises", "another noun")):
        changed = plain(layout) if advice.startswith("words") else None
        told = client.post("/api/runs", json={**SHORT, "prompt": prompt, "layout": changed}).json()
        assert advice in told["remedy"] and "`model`" not in told["remedy"] and "layout file" not in told["remedy"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"layout": ' + b"[" * 50_000, b'{"layout": null}',
        b'{"layout": {"version": 1}}', b'{"layout": {"version": 1, "prompt": "a", "objects": [{}]}}', b"1" * 100_000,
    ],
)  # fmt: skip
def test_wrong_bodies_get_one_clear_error(client: TestClient, body: bytes) -> None:
    for path in ("/api/check", "/api/plan", "/api/runs", "/api/export", "/api/memory/lookup"):
        answer = client.post(path, content=body)
        assert answer.status_code in (400, 422), path
        assert set(answer.json()) == {"problem", "expected", "remedy"} and len(answer.text) < 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"}, {"preset": "paper"}, {"preset": "none"}, {"settings": {"tto.lr": "x"}}, {"seed": -1},
        {"settings": {"memory.path": "/etc"}}, {"prompt": ""}, {"prompt": "A cat"}, {"surprise": 1}, {"layout": 3},
        {"layout": None, "prompt": "qwxz fgh"}, {"layout": None, "prompt": "A zeppelin rises"},
    ],
)  # fmt: skip
def test_runs_that_cannot_work_are_refused_at_once(client: TestClient, layout: Layout, wrong: dict[str, Any]) -> None:
    before = len(client.get("/api/runs").json()["runs"])
    answer = client.post("/api/runs", json={**SHORT, "prompt": PROMPT, "layout": plain(layout), **wrong})
    assert answer.status_code == 422 and answer.json()["problem"]
    assert len(client.get("/api/runs").json()["runs"]) == before


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/runs/x", "/api/runs/20200101-000000-000000/events", "/static/../app.py"]
)
def test_what_is_not_there_is_404_in_json(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and answer.json()["problem"]
    assert client.put("/api/runs").status_code == 405


@pytest.mark.parametrize(
    "name", ["%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", "%00", "a%00.js", "", "x/../../app.py"]
)
def test_static_files_stay_in_their_folder(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


# -- runs -----------------------------------------------------------------------------------------------------------


def test_a_run_gives_the_video_of_the_command_line(
    biased: dict[str, Any], layout: Layout, studio: Studio, tmp_path: Path
) -> None:
    assert biased["state"] == "done" and biased["error"] is None
    assert (biased["step"], biased["steps"], biased["preview"] >= 1) == (2, 2, True)
    assert "plan" in biased["check"]
    assert {"video.mp4", "overlay.mp4", "layout.json", "report.json", "attention.png"} <= set(biased["files"])
    settings = find_preset("emojiworld")()
    settings = replace(settings, sampler=replace(settings.sampler, steps=2), tto=replace(settings.tto, guided_steps=2))
    TTOM("emojiworld-wan", device="cpu").generate(
        PROMPT, method="bias", seed=3, layout=layout, settings=settings, out=tmp_path
    )
    made = studio.out / biased["id"] / "video.mp4"
    assert made.read_bytes() == (tmp_path / "video.mp4").read_bytes()


def test_the_plain_model_is_beside_it_and_losses_are_told(optimized: dict[str, Any], client: TestClient) -> None:
    assert optimized["state"] == "done" and len(optimized["losses"]) == 1
    assert (optimized["step"], optimized["steps"]) == (4, 4)
    videos = [client.get(f"/api/runs/{optimized['id']}/files/{name}").content for name in ("video.mp4", "base.mp4")]
    assert all(video[4:8] == b"ftyp" for video in videos) and videos[0] != videos[1]


def test_videos_are_sent_in_ranges(biased: dict[str, Any], client: TestClient) -> None:
    path = f"/api/runs/{biased['id']}/files/video.mp4"
    whole = client.get(path)
    assert whole.headers["content-type"] == "video/mp4" and whole.headers["accept-ranges"] == "bytes"
    part = client.get(path, headers={"range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == whole.content[100:200]
    assert client.get(path, headers={"range": "bytes=-10"}).content == whole.content[-10:]
    assert client.get(path, headers={"range": "bytes=99999999-"}).status_code == 416


@pytest.mark.parametrize("name", ["run.json", "..%2f..%2fmemory%2fmemory.json", "%2e%2e", "lora", "lora%2fREADME.md"])
def test_other_files_are_not_sent(biased: dict[str, Any], client: TestClient, name: str) -> None:
    assert client.get(f"/api/runs/{biased['id']}/files/{name}").status_code == 404


def test_maps_show_where_the_objects_are(biased: dict[str, Any], client: TestClient, layout: Layout) -> None:
    about = client.get(f"/api/runs/{biased['id']}/attention").json()
    assert about["objects"] == ["balloon", "house"] and about["grid"] == [5, 8, 12]
    assert about["blocks"] == list(range(8)) and set(about["files"]) == {"before", "after", *map(str, range(8))}
    frames, height, width = about["grid"]
    picture = client.get(f"/api/runs/{biased['id']}/files/{about['files']['5']}").content
    maps = np.asarray(Image.open(io.BytesIO(picture)), float).reshape(2, height, frames, width).transpose(0, 2, 1, 3)
    columns = (maps.sum(axis=2) * np.arange(width)).sum(axis=-1) / maps.sum(axis=(2, 3))
    assert columns[0, -1] > columns[0, 0] + 2  # the balloon goes right, and under a bias attention follows
    assert client.get("/api/runs/20200101-000000-000000/attention").status_code == 404


def test_the_lora_comes_with_words_and_an_example_that_works(
    optimized: dict[str, Any], client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.get(f"/api/runs/{optimized['id']}/lora.zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = {"README.md", "example.py", "pytorch_lora_weights.safetensors", "ttom-comfyui.safetensors"}
        assert set(archive.namelist()) == {f"ttom-lora/{name}" for name in names}
        archive.extractall(tmp_path)
    readme = (tmp_path / "ttom-lora" / "README.md").read_text()
    assert "destroys the picture" in readme and "ComfyUI" in readme and str(tmp_path.parent) not in readme
    assert "ComfyUI (`ttom-comfyui.safetensors`)" in readme and "`end_at_step` 1" in " ".join(readme.split())
    check_comfyui(tmp_path / "ttom-lora")
    example = (tmp_path / "ttom-lora" / "example.py").read_text()
    # The example disables the LoRA after the guided steps and not before: without one, no step has it.
    counted = example.replace("pipe.disable_lora()", "(pipe.disable_lora(), off.append(step))")
    assert counted.count("off.append") == 1
    off: list[int] = []
    monkeypatch.chdir(tmp_path / "ttom-lora")
    saved: list[Any] = []
    monkeypatch.setattr("diffusers.utils.export_to_video", lambda video, name, fps: saved.append((video, name, fps)))
    exec(compile(counted, "example.py", "exec"), {"off": off})
    assert off == [0] and len(saved[0][0]) == 17 and saved[0][2] == 8


def check_comfyui(folder: Path) -> None:
    """The same update of each layer as in diffusers' file, under ComfyUI's names."""
    theirs, ours = (load_file(folder / f"{n}.safetensors") for n in ("pytorch_lora_weights", "ttom-comfyui"))
    assert len(ours) == len(theirs) // 2 * 3
    names = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
    for layer, short in names.items():
        name = f"diffusion_model.blocks.1.cross_attn.{short}"
        for one, other in (("lora_down", "lora_A"), ("lora_up", "lora_B")):
            assert np.array_equal(
                ours[f"{name}.{one}.weight"], theirs[f"transformer.blocks.1.attn2.{layer}.{other}.weight"]
            )
        assert ours[f"{name}.alpha"] == 16


def test_a_run_without_a_lora_says_so(biased: dict[str, Any], client: TestClient) -> None:
    answer = client.get(f"/api/runs/{biased['id']}/lora.zip")
    assert answer.status_code == 404 and "bias" in answer.json()["problem"]


def test_a_run_is_cancelled_in_the_middle_and_the_model_is_as_before(
    client: TestClient, studio: Studio, layout: Layout
) -> None:
    order = {"prompt": PROMPT, "layout": plain(layout), "seed": 1}
    first = client.post("/api/runs", json={**order, "method": "ttom"}).json()["id"]
    second = client.post("/api/runs", json={**order, **SHORT}).json()["id"]
    wait_until(client, first, lambda run: run["losses"])
    assert client.get(f"/api/runs/{second}").json()["position"] == 1  # one at a time
    assert client.post(f"/api/runs/{second}/cancel").json()["state"] == "cancelled"  # the first one goes on
    assert client.get(f"/api/runs/{first}").json()["state"] == "running"
    assert client.delete(f"/api/runs/{first}").status_code == 409
    assert client.post(f"/api/runs/{first}/cancel").json()["phase"] in ("cancelling", "cancelled")
    ended = wait(client, first, 20)
    assert ended["state"] == "cancelled" and ended["step"] < ended["steps"] and "plan.json" in ended["files"]
    assert not [name for name, _ in studio.backbone.transformer.named_modules() if "lora" in name]
    assert [path.name for path in (studio.out / first).iterdir() if path.name.startswith(".ttom-")] == []


def test_events_end_with_a_final_state(client: TestClient, layout: Layout) -> None:
    order = {"method": "bias", "settings": {"sampler.steps": 1}, "prompt": PROMPT, "layout": plain(layout)}
    id_ = client.post("/api/runs", json=order).json()["id"]
    text = client.get(f"/api/runs/{id_}/events").text
    news = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert news[-1]["state"] == "done" and [run["id"] for run in news] == [id_] * len(news)
    steps = [run["step"] for run in news]
    assert steps == sorted(steps) and {"running", "done"} <= {run["state"] for run in news}


def test_the_history_is_sorted_and_has_seconds(client: TestClient, biased: dict[str, Any], studio: Studio) -> None:
    runs = client.get("/api/runs").json()["runs"]
    assert [run["id"] for run in runs] == sorted((run["id"] for run in runs), reverse=True)
    assert biased["id"] in [run["id"] for run in runs]
    for run in runs:
        assert re.fullmatch(r"\d{8}-\d{6}-\d{6}", run["id"]) and run["prompt"] == PROMPT
    order = studio.jobs.view(biased["id"])
    assert order["seconds"] > 0


# -- files in and out -----------------------------------------------------------------------------------------------


def test_layouts_go_out_and_come_in_again(client: TestClient, layout: Layout) -> None:
    for format_ in ("layout", "ati", "kjnodes", "comfyui"):
        answer = client.post("/api/export", json={"layout": plain(layout), "format": format_})
        assert "attachment" in answer.headers["content-disposition"]
        form = {"format": "auto", "prompt": PROMPT}
        back = client.post("/api/import", files={"file": ("x.json", answer.content)}, data=form)
        assert [item["phrase"] for item in back.json()["layout"]["objects"]] == ["balloon", "house"]
    assert client.post("/api/export", json={"layout": plain(layout), "format": "vace"}).content[4:8] == b"ftyp"


@pytest.mark.parametrize("name", ["../../etc/passwd", "x.pkl", "x\x1b.json", "a" * 300])
def test_the_name_of_a_file_means_nothing(client: TestClient, name: str) -> None:
    answer = client.post("/api/import", files={"file": (name, b"\x80\x04K\x01.")}, data={"prompt": PROMPT})
    assert answer.status_code == 422 and "pickle" in answer.json()["problem"]


def test_forms_are_bounded(client: TestClient) -> None:
    file = {"file": ("x", b"[]")}
    for answer in (
        client.post("/api/import", data={"prompt": "x"}),
        client.post("/api/import", files=file, data={"prompt": "x" * 2**19}),
        client.post("/api/import", files=file, data={str(n): "x" for n in range(50)}),
        client.post("/api/import", files=[("file", ("x", b"[]"))] * 5),
        client.post("/api/import", content=b"--x\r\n", headers={"content-type": "multipart/form-data; boundary=x"}),
        client.post("/api/import", content=b"{}", headers={"content-type": "application/json"}),
        client.post("/api/import", files={"file": ("x", b" " * (17 * 2**20))}),
    ):
        assert answer.status_code in (400, 413, 422) and answer.json()["problem"]


# -- the memory -----------------------------------------------------------------------------------------------------


def test_the_memory_says_what_a_prompt_would_hit_and_why(
    client: TestClient, optimized: dict[str, Any], layout: Layout
) -> None:
    entries = client.get("/api/memory").json()["entries"]
    key = "<object A> moves from left to right above <object B>"
    assert key in [entry["key"] for entry in entries]
    same = client.post("/api/memory/lookup", json={"prompt": PROMPT, "layout": plain(layout)}).json()
    assert same["key"] == key and same["hits"][0]["accepted"] and "key is the same" in same["hits"][0]["why"]
    assert "layout is the same" in same["hits"][0]["why"] and same["hits"][0]["layout"] > 0.95
    other = client.post("/api/plan", json={"prompt": "Two cats sleep"}).json()["layout"]
    found = client.post("/api/memory/lookup", json={"prompt": "Two cats sleep", "layout": other}).json()["hits"]
    assert found and not found[0]["accepted"] and "below the threshold" in found[0]["why"]
    assert "layout is another" in found[0]["why"] and found[0]["layout"] < 0.95
    assert client.get("/api/memory").json()["entries"][0]["uses"] == entries[0]["uses"]  # looking is no use


def test_an_entry_is_deleted_only_when_confirmed(client: TestClient, optimized: dict[str, Any]) -> None:
    id_ = client.get("/api/memory").json()["entries"][0]["id"]
    for query in ("", "?confirm=", "?confirm=true", f"?confirm={id_ + 1}"):
        answer = client.delete(f"/api/memory/{id_}{query}")
        assert answer.status_code == 409 and answer.json()["expected"] == f"?confirm={id_}"
    for wrong in ("0", "-1", "99999", "x", "9" * 30, "1%20OR%201"):
        assert client.delete(f"/api/memory/{wrong}?confirm={wrong}").status_code == 404
    assert client.delete(f"/api/memory/{id_}?confirm={id_}").json() == {}
    assert id_ not in [entry["id"] for entry in client.get("/api/memory").json()["entries"]]


def test_a_token_guards_everything(studio: Studio) -> None:
    guarded = TestClient(make_app(Routes(studio), Access(token="secret")), base_url=URL)
    for path in ("/", "/static/style.css", "/api/info", "/api/runs"):
        assert guarded.get(path).status_code == 401
    assert guarded.get("/api/info", headers={"authorization": "Bearer secret"}).status_code == 200
