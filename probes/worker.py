"""Masks from groundingdino-py and sam2, which need their own environment: a worker process that runs in it.

The protocol, for authors of another worker. The worker is started once, as

    PYTHON grounding_worker.py [options]

and reads the path of a job's folder from each line of its standard input. The folder holds

    job.json    {"version": 1, "phrases": ["red balloon", ...]}
    video.npz   "video": uint8 (T, height, width, 3)

and the worker puts into it

    masks.npz   "masks": bool (N, T, height, width), one per phrase; all False where nothing is found
    done.json   {"version": 1, "weights": "..."}, or {"version": 1, "error": "..."}

then writes one line, of any content, to standard output; nothing is read before. Arrays are read without pickles. The
worker exits when its input ends, at the latest when the probe ends. The last line of its standard error is shown if it
dies.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ttom.errors import SetupError
from ttom.layout.model import ObjectGroup

VERSION = 1
PYTHON = Path(".venv-grounding/bin/python")
SCRIPT = Path(__file__).with_name("grounding_worker.py")
REMEDY = "make env-grounding, or --masks grounding, which needs no separate environment"


class WorkerSegmenter:
    """See ``Segmenter``. The process starts with the first video and exits with ``close``.

    Args:
        python: The Python interpreter of the worker's environment.
        script: The worker.
        options: Its arguments.

    Raises:
        SetupError: There is no such interpreter. ``segment`` raises it if the worker dies or breaks the protocol.
    """

    def __init__(self, python: Path = PYTHON, script: Path = SCRIPT, options: Sequence[str] = ()) -> None:
        if not python.is_file():
            raise SetupError(
                f"the environment of groundingdino-py and sam2 is missing: {python} does not exist",
                expected="an environment with probes/grounding-requirements.txt",
                remedy=REMEDY,
            )
        self.name = "groundingdino-py + sam2 (worker)"
        self._command = [str(python), str(script), *options]
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        """Masks ``(N, T, height, width)`` of a uint8 video ``(T, height, width, 3)``; see ``Segmenter``."""
        with tempfile.TemporaryDirectory(prefix="ttom-masks-") as name:
            folder = Path(name)
            job = {"version": VERSION, "phrases": [group.phrase for group in groups]}
            (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
            np.savez_compressed(folder / "video.npz", video=video)
            self._ask(folder)
            return self._answer(folder, (len(groups), *video.shape[:3]))

    def close(self) -> None:
        """Stop the worker."""
        if self._process is not None:
            self._process.communicate()  # closes its input, which stops it
            self._process = None
        self._stderr.close()

    def _ask(self, folder: Path) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{folder}\n")
            self._process.stdin.flush()
            answered = self._process.stdout.readline()
        except BrokenPipeError:
            answered = ""
        if not answered:
            code = self._process.wait()
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").strip().splitlines()
            raise SetupError(
                f"the mask worker exited with code {code}: {lines[-1] if lines else 'no message'}",
                expected="an answer for every video",
                remedy=f"run it by hand for the full error: {' '.join(self._command)}; {REMEDY}",
            )

    def _answer(self, folder: Path, shape: tuple[int, ...]) -> np.ndarray:
        try:
            done: dict[str, Any] = json.loads((folder / "done.json").read_text(encoding="utf-8"))
            error, version = done.get("error"), done.get("version")
            if error is None and version == VERSION:
                with np.load(folder / "masks.npz", allow_pickle=False) as arrays:
                    masks = arrays["masks"]
                if (masks.shape, masks.dtype) == (shape, np.dtype(bool)):
                    self.name = f"{done.get('weights', 'unnamed weights')} (worker)"
                    return masks
                error = f"its masks are {masks.dtype} {masks.shape}, not bool {shape}"
        except (OSError, ValueError, KeyError, AttributeError) as problem:
            error, version = str(problem), VERSION
        raise SetupError(
            f"the mask worker failed: {error or f'its answer has version {version}, not {VERSION}'}",
            expected="masks in the format that probes/worker.py describes",
            remedy=REMEDY,
        )
