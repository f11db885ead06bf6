"""A worker without a model, whose cases can kill it, and the toy suite that it is used with."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eval.manifest import last_rows
from eval.suites import Options, Suite, case_seed
from eval.types import Case, ManifestRow
from eval.worker import Job, Made, MemoryTerms, NotMade
from ttom.config import RuntimeConfig, SamplerConfig, Settings
from ttom.errors import SetupError
from ttom.memory.signature import Signature
from ttom.report import Provenance, Report, Seconds, SettingsReport

NOUNS = "cat dog horse sheep robot rabbit turtle elephant cow frog panda bear penguin camel".split()
WAYS = "left right upward downward".split()


def toy_suite(count: int, behavior: dict[int, str] | None = None) -> Callable[[Options], Suite]:
    """Cases that the rules planner can plan; `behavior` says by number what they do to a worker."""

    def build(options: Options) -> Suite:
        cases = []
        for number in range(count):
            text = f"A {NOUNS[number % len(NOUNS)]} moves {WAYS[number // len(NOUNS) % len(WAYS)]}"
            case_id = f"toy-{number:05d}"
            what = (behavior or {}).get(number)
            facts = {"behavior": what} if what else {}
            video = f"toy/{number:05d}.mp4"
            seed = case_seed(case_id)
            cases.append(
                Case(id=case_id, suite="toy", category="toy", prompt=text, seed=seed, video=video, facts=facts)
            )
        return Suite("toy", "1", tuple(cases))

    return build


@dataclass(frozen=True)
class FakeVideos:
    """Makes fake workers that count their tries in a folder.

    Attributes:
        method: Goes into the bytes of the video.
    """

    folder: str
    method: str = "ttom"

    def __call__(self, device: str) -> FakeWorker:
        return FakeWorker(Path(self.folder), self.method)


LORA_A, LORA_B = "blocks.0.to_q.lora_A.weight", "blocks.0.to_q.lora_B.weight"
"""Of the adapters that it makes."""


class FakeWorker:
    def __init__(self, folder: Path, method: str) -> None:
        self.folder, self.method = folder, method
        self.tries("loads")

    def tries(self, name: str) -> int:
        """Count a try, also over the death of the process; returns how many there were."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{os.getpid()}-{time.time_ns()}").touch()
        return len(list(folder.iterdir()))

    def memory_terms(self) -> MemoryTerms:
        return MemoryTerms("fake", 8, Signature("Fake", "0" * 12, 0, 0, 1, 2, 2.0, ("to_q",)))

    def embed(self, keys: Sequence[str]) -> np.ndarray:
        digests = [hashlib.sha256(key.encode()).digest()[:8] for key in keys]
        vectors = np.array([list(digest) for digest in digests], np.float32) - 127.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def make(self, job: Job) -> Made | NotMade:
        count, behavior = self.tries(job.case.id), job.case.facts.get("behavior", "")
        if behavior == "kill always" or (behavior == "kill once" and count == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if behavior == "refuse":
            return NotMade("refused", "no such noun")
        if behavior == "fail always" or (behavior == "fail once" and count == 1):
            return NotMade("failed", "RuntimeError at toy.py:1: out of luck")
        if behavior == "setup":
            raise SetupError("no such device", remedy="another device")
        value = 0.0 if job.adapter is None else float(job.adapter[LORA_A].sum())
        video = f"{job.case.id} {job.case.seed} {self.method} {value:.3f}".encode()
        adapter = {
            LORA_A: torch.full((2, 3), job.case.seed / 2**31 + value),
            LORA_B: torch.ones(4, 2),
        }
        kept = (adapter, (0.5, 0.1)) if job.wants_adapter else (None, None)
        return Made(video, (5, 32, 48), 8, fake_report(job, self.method), {"attention.png": b"png"}, *kept)


def fake_report(job: Job, method: str) -> Report:
    settings = Settings(sampler=SamplerConfig(frames=5, height=32, width=48))
    origin = Provenance(
        commit=None, dirty=None, versions={}, device="cpu", device_name="fake", platform="", date="", dtype="float32",
        runtime=RuntimeConfig(), settings=SettingsReport(preset="paper", given={}, resolved=settings),
    )  # fmt: skip
    return Report(
        prompt=job.prompt, video_prompt=job.prompt, model="tiny", model_digest="d", method=method, seed=job.case.seed,
        identity="i", layout_source="rules", layout_digest=None, planner=None, sampler=settings.sampler, tto=None,
        memory=None, seconds=Seconds(total=0.01), peak_bytes=None, settings_hash="h", provenance=origin,
    )  # fmt: skip


def rows(run: Path) -> dict[str, ManifestRow]:
    return last_rows(run)


def tries(folder: Path, number: int) -> int:
    found = folder / "tries" / f"toy-{number:05d}"
    return len(list(found.iterdir())) if found.exists() else 0


def videos(run: Path) -> dict[str, bytes]:
    files = sorted(path for path in (run / "videos").rglob("*") if path.is_file())
    return {str(path.relative_to(run)): path.read_bytes() for path in files}
