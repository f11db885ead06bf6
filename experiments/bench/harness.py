"""A simulated day of the evaluation harness: python -m experiments.bench.harness --out RESULT.json

Thousands of cases with videos of a kilobyte, half of them in each of two runs, go through planning, the manifest,
resuming, a judge that makes up its answers, scoring and the report. So what is measured is the harness alone: seconds,
memory and size of each part, at three sizes, each in a process of its own. Every part must grow linearly.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval import judge, replay, score
from eval.arguments import parse
from eval.header import make_header, run_settings
from eval.judges.protocol import Reply, Video
from eval.planned import plan_cases
from eval.report import __main__ as report
from eval.suites import Options, load_suite
from eval.types import Question
from eval.worker import Job, Made
from ttom import files, provenance
from ttom.config import RuntimeConfig, SamplerConfig, Settings
from ttom.report import Provenance, Report, Seconds, SettingsReport

SIZES = (2_500, 5_000, 10_000)
ALLOWED = 1.5
"""CPU seconds for a case may grow so much from the smallest to the largest size, and a part still counts as linear."""
FRAMES = 17


class FakeWorker:
    """Returns a made-up kilobyte in place of each video."""

    def __init__(self, method: str) -> None:
        self._method = method
        settings = Settings(sampler=SamplerConfig(frames=FRAMES, height=64, width=96))
        origin = Provenance(
            commit=None, dirty=None, versions={}, device="cpu", device_name="none", platform="", date="",
            dtype="float32", runtime=RuntimeConfig(),
            settings=SettingsReport(preset="emojiworld", given={}, resolved=settings),
        )  # fmt: skip
        self._report = Report(
            prompt="", video_prompt="", model="none", model_digest="", method=method, seed=0, identity="",
            layout_source="rules", layout_digest=None, planner=None, sampler=settings.sampler, tto=None, memory=None,
            seconds=Seconds(total=1.0), peak_bytes=1, settings_hash="", provenance=origin,
        )  # fmt: skip

    def make(self, job: Job) -> Made:
        video = random.Random(f"{self._method} {job.case.id}").randbytes(1024)
        own = self._report.model_copy(update={"prompt": job.prompt, "seed": job.case.seed})
        return Made(video, (FRAMES, 512, 768), 8, own, {"attention.png": video[:256]})


class FakeJudge:
    """Finds one box for each question in each frame, somewhere."""

    name, version, workers = "made up", "1", 1
    kinds = frozenset({"detect", "flicker"})

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        for question in questions:
            if question.kind == "flicker":
                yield Reply(question, 1.0)
                continue
            draw = random.Random(f"{video.sha256} {question.text}")
            x, y = draw.uniform(0, 0.7), draw.uniform(0, 0.7)
            box = {"box": [x, y, x + 0.3, y + 0.3], "score": 0.9, "phrase": question.text}
            yield Reply(question, [[box]] * FRAMES)


def measure(count: int, folder: Path) -> dict[str, Any]:
    """All parts once, with so many cases in all, in this process."""
    wall: dict[str, float] = defaultdict(float)
    cpu: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start, started = time.perf_counter(), time.process_time()
        yield
        wall[name] += time.perf_counter() - start
        cpu[name] += time.process_time() - started

    runs = [folder / method for method in ("base", "ttom")]
    for run in runs:
        options = ["--suite", "emojiworld", "--limit", str(-(-count // 6)), "--out", str(run), "--method", run.name]
        command = parse([*options, "--device", "cpu", "--quiet"])
        settings = run_settings(command)
        with timed("suite"):
            suite = load_suite(command.suite, Options(limit=command.limit))
        with timed("layouts"):
            planned = plan_cases(suite.cases, settings)
        header = make_header(command, settings, suite, options)
        with timed("manifest"), replay.open_run(run, header) as opened:
            worker, replayer = FakeWorker(run.name), replay.Replayer(command, settings, opened)
            replayer.replay(planned, _Direct(worker))  # type: ignore[arg-type]  # what a replay needs of workers
        with timed("resume"), replay.open_run(run, header) as opened:
            assert all(opened.is_done(item.case, item.identity(header.identity)) for item in planned)
    names, answers = tuple(runs), folder / "answers"
    ask = judge.Ask(runs=names, judge="emojiworld", answers=answers, quiet=True)
    with timed("judging"):
        judge.run(ask, FakeJudge())
    with timed("judging again"):
        assert judge.run(ask, FakeJudge()).answered == 0
    with timed("scores"):
        score.run(score.Score(runs=names, answers=answers))
    with timed("report"):
        code = report.main([*map(str, runs), "--out", str(folder / "report")])
        assert code == 0, code
    made = sum(len((run / "manifest.jsonl").read_bytes().splitlines()) for run in runs)
    return {
        "cases": made,
        "seconds": {name: round(seconds, 3) for name, seconds in wall.items()},
        "cpu_seconds": {name: round(seconds, 3) for name, seconds in cpu.items()},
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "megabytes": {name: round(_size(folder / name) / 1e6, 2) for name in ("base", "ttom", "answers", "report")},
    }


class _Direct:
    """Workers in the form of `ttom.parallel`, without any."""

    count = 1

    def __init__(self, worker: FakeWorker) -> None:
        self._worker = worker

    def each(self, method: str, jobs: Iterator[Job]) -> Iterator[tuple[Job, Made]]:
        for job in jobs:
            yield job, self._worker.make(job)


def growth(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How much the seconds and bytes for a case grow from the smallest to the largest size; 1 is linear.

    What counts is CPU time and bytes: wall time is also that of others on the same disk.
    """
    first, last = rows[0], rows[-1]
    factor = last["cases"] / first["cases"]
    ratios = {
        kind: {name: round(last[kind][name] / first[kind][name] / factor, 2) for name in last[kind]}
        for kind in ("seconds", "cpu_seconds", "megabytes")
    }
    grows = {name for kind in ("cpu_seconds", "megabytes") for name, ratio in ratios[kind].items() if ratio > ALLOWED}
    return {**ratios, "linear": not grows, "not_linear": sorted(grows)}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="result JSON")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="cases")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        folder = Path(tempfile.mkdtemp(prefix="ttom-harness-"))
        try:
            print(json.dumps(measure(options.one, folder)))
        finally:
            shutil.rmtree(folder)
        return
    made_by = provenance.environment("cpu")
    rows = []
    for count in options.sizes:
        call = [sys.executable, "-m", "experiments.bench.harness", "--one", str(count)]
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
    made_by["command"] = " ".join(["python -m experiments.bench.harness", *sys.argv[1:]])
    result = {"sizes": rows, "growth": growth(rows), "allowed": ALLOWED, "provenance": made_by}
    print(json.dumps(result["growth"], indent=1))
    if options.out is not None:
        files.write_json(options.out, result, indent=1)


if __name__ == "__main__":
    main()
