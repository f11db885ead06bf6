"""Stands in for groundingdino-py and sam2: speaks the protocol of probes/worker.py, well or badly. numpy alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

behavior = sys.argv[1]
for line in sys.stdin:
    folder = Path(line.strip())
    job = json.loads((folder / "job.json").read_text())
    assert job["version"] == 1
    with np.load(folder / "video.npz", allow_pickle=False) as arrays:
        video = arrays["video"]
    assert video.dtype == np.uint8
    if behavior == "dies":
        print("out of luck", file=sys.stderr)
        sys.exit(3)
    # Each phrase's mask is one color channel above the number of the phrase's letters.
    masks = np.stack([video[..., i] > len(phrase) for i, phrase in enumerate(job["phrases"])])
    done = {"version": 1, "weights": f"fake, process {os.getpid()}"}
    if behavior == "refuses":
        done = {"version": 1, "error": "ValueError: no weights"}
    elif behavior == "other version":
        done["version"] = 2
    elif behavior == "wrong shape":
        masks = masks[:, 1:]
    elif behavior == "pickles":
        masks = np.array([{"a": 1}], dtype=object)
    np.savez(folder / "masks.npz", masks=masks, allow_pickle=True)
    if behavior != "silent":
        (folder / "done.json").write_text(json.dumps(done))
    print("done", flush=True)
