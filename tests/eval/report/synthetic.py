"""Run folders as replay and score leave them, made of colored squares in a moment."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from eval.planned import digest
from eval.report.runs import ReportRun, load_runs
from eval.types import Case, ManifestRow, RunHeader, ScoreRow
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject, save_layout

FRAMES, FPS, HEIGHT, WIDTH = 17, 8, 128, 192
COLORS = ((230, 90, 80), (70, 130, 230), (90, 190, 110))
PATHS = {"left to right": ((0.05, 0.4), (0.65, 0.4)), "right to left": ((0.65, 0.4), (0.05, 0.4))}
NOUNS = ("cat", "dog", "horse", "robot", "kite", "swan")


def make_case(number: int, suite: str = "toy") -> Case:
    """A case of three categories in turn: motion with a direction, relation, count."""
    facts: dict[str, Any]
    category = ("motion", "relation", "count")[number % 3]
    noun, other = NOUNS[number % 6], NOUNS[(number // 6 + 1) % 6]
    if category == "motion":
        words = list(PATHS)[number // 3 % 2]
        prompt, facts = (
            f"A {noun} moves from {words} in front of hills, take {number}",
            {"direction": words.split()[-1]},
        )
        start, end = PATHS[words]
    elif category == "relation":
        prompt, facts = f"A {noun} stands above a {other}, take {number}", {"relation": "above"}
        start = end = (0.35, 0.1)
    else:
        count = 2 + number // 3 % 3
        prompt, facts = f"{count} {noun}s wait in a field, take {number}", {"count": count}
        start = end = (0.1, 0.5)
    boxes = [KeyFrame(time=t, box=Box(x0=x, y0=y, x1=x + 0.3, y1=y + 0.4)) for t, (x, y) in ((0.0, start), (1.0, end))]
    layout = Layout(prompt=prompt, objects=(LayoutObject(id="a", phrase=noun, noun=noun, key_frames=tuple(boxes)),))
    return Case(
        id=f"{category}-{number:04d}",
        suite=suite,
        category=category,
        prompt=prompt,
        seed=number,
        video=f"{category}/{number:04d}.mp4",
        facts=facts,
        layout=layout,
    )


def write_video(path: Path, case: Case, color: Sequence[int], offset: float) -> None:
    """A square that follows the case's layout, ``offset`` beside it, on a gradient."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert case.layout is not None
    ground = np.linspace(40, 120, HEIGHT)[:, None, None] * np.ones((1, WIDTH, 3))
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=FPS, options={"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(FRAMES):
            frame = ground.astype(np.uint8)
            box = case.layout.objects[0].box_at(i / (FRAMES - 1))
            assert box is not None
            x, y = int((box.x0 + offset) * WIDTH), int(box.y0 * HEIGHT)
            frame[y : y + int(0.4 * HEIGHT), max(x, 0) : x + int(0.3 * WIDTH)] = color
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def write_run(
    folder: Path,
    label: str,
    cases: Sequence[Case],
    *,
    skill: float = 0.5,
    videos: bool = True,
    refused: Sequence[str] = (),
    proxy: bool = True,
    **header: Any,
) -> Path:
    """A run whose scores follow ``skill``: the share of yes, and the mean of the overlap."""
    folder.mkdir(parents=True)
    number = int(hashlib.sha256(label.encode()).hexdigest(), 16) % 1000
    rng = np.random.default_rng(number)
    known: dict[str, Any] = {"label": label, "suite": cases[0].suite, "suite_revision": "1", "model": "toy-model"}
    known |= {"model_digest": "0123", "method": label.split()[0], "settings": {"steps": 25}, "settings_hash": label}
    known |= {"identity": f"identity of {label}"} | header
    rows, scores = [], []
    for case in cases:
        identity = digest([known["identity"], case.id, case.prompt, case.seed, None])
        row: dict[str, Any] = {"identity": identity, "case": case, "status": "made", "video": case.video}
        if case.id in refused:
            row |= {"status": "refused", "video": None, "error": "the planner did not understand the prompt"}
        else:
            row |= {"frames": FRAMES, "fps": FPS, "width": WIDTH, "height": HEIGHT, "device": "cpu"}
            row |= {"seconds": {"total": 10 + number % 7 + float(rng.random())}, "peak_bytes": 10**9 + number * 10**6}
            if videos:
                row |= _files(folder, case, label, COLORS[number % 3], float(rng.normal(0, 0.2 * (1 - skill))))
            said: dict[str, Any] = {"suite": case.suite, "category": case.category, "proxy": proxy}
            yes = float(rng.random() < skill)
            scores.append(ScoreRow(run=label, case_id=case.id, metric="all_facts", value=yes, binary=True, **said))
            overlap = float(np.clip(rng.normal(skill, 0.15), 0, 1))
            scores.append(ScoreRow(run=label, case_id=case.id, metric="layout_iou", value=overlap, **said))
        rows.append(ManifestRow(**row))
    (folder / "run.json").write_text(RunHeader(**known).model_dump_json())
    for name, lines in (("manifest.jsonl", rows), ("scores.jsonl", scores)):
        (folder / name).write_text("".join(line.model_dump_json() + "\n" for line in lines))
    return folder


def _files(folder: Path, case: Case, label: str, color: Sequence[int], offset: float) -> dict[str, Any]:
    video = folder / "videos" / case.video
    write_video(video, case, color, offset)
    place = folder / "cases" / case.id
    place.mkdir(parents=True)
    assert case.layout is not None
    save_layout(case.layout, place / "layout.json")
    (place / "report.json").write_text(json.dumps({"prompt": case.prompt, "method": label, "note": "</script><b>"}))
    grid = np.add.outer(np.arange(40), np.arange(120)) % 255
    Image.fromarray(grid.astype(np.uint8)).save(place / "attention.png")
    data = video.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def write_three_runs(folder: Path, cases: int = 12) -> list[Path]:
    """base, ttom and ttom + memory over the same cases; ttom refuses the second case."""
    made = [make_case(i) for i in range(cases)]
    return [
        write_run(folder / "base", "base", made, skill=0.35),
        write_run(folder / "ttom", "ttom", made, skill=0.75, refused=(made[1].id,)),
        write_run(folder / "memory", "ttom + memory", made[:-1], skill=0.8),
    ]


def page_data(folder: Path) -> dict[str, Any]:
    text = (folder / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


CASES = [make_case(i) for i in range(24)]


def runs_of(tmp_path: Path, **kwargs: Any) -> list[ReportRun]:
    write_run(tmp_path / "base", "base", CASES, skill=0.3, videos=False)
    write_run(tmp_path / "ttom", "ttom", CASES, skill=0.8, videos=False, **kwargs)
    return load_runs([tmp_path / "base", tmp_path / "ttom"])
