"""The worker of probes/worker.py for groundingdino-py and sam2. It runs in their own environment, without TTOM.

Models are loaded when the first job arrives on standard input. Standard output is redirected to standard error, so that
libraries cannot break the protocol by printing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from probes import boxes  # noqa: E402 (numpy alone)

VERSION = 1
REPOSITORY = "ShilongLiu/GroundingDINO"


class Models:
    """GroundingDINO and SAM 2, loaded by their own packages."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch
        from groundingdino.util.inference import load_model
        from huggingface_hub import hf_hub_download
        from sam2.sam2_video_predictor import SAM2VideoPredictor

        self.torch, self.device = torch, options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        config = options.config or hf_hub_download(REPOSITORY, "GroundingDINO_SwinB.cfg.py")
        weights = options.weights or hf_hub_download(REPOSITORY, "groundingdino_swinb_cogcoor.pth")
        self.detector = load_model(str(config), str(weights), device=self.device).to(self.device)
        self.tracker = SAM2VideoPredictor.from_pretrained(options.sam2, device=self.device)
        self.name = f"groundingdino-py {Path(weights).name} + sam2 {options.sam2}"

    def detect(self, picture: np.ndarray, phrases: list[str]) -> list[boxes.Found]:
        import groundingdino.datasets.transforms as T
        from PIL import Image

        steps = [T.RandomResize([800], max_size=1333), T.ToTensor()]
        prepare = T.Compose([*steps, T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
        pixels, _ = prepare(Image.fromarray(picture), None)
        text, spans = boxes.caption(phrases)
        output = self.detector(pixels[None].to(self.device), captions=[text])
        offsets = self.detector.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        scores = output["pred_logits"][0].sigmoid().float().cpu().numpy()[:, : len(offsets)]
        size = picture.shape[1], picture.shape[0]
        return boxes.chosen(scores, output["pred_boxes"][0].float().cpu().numpy(), offsets, spans, size)

    def segment(self, video: np.ndarray, phrases: list[str]) -> np.ndarray:
        from PIL import Image

        masks = np.zeros((len(phrases), *video.shape[:3]), dtype=bool)
        with self.torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
            found = {frame: self.detect(video[frame], phrases) for frame in boxes.key_frames(len(video))}
            anchored = boxes.anchors(found)
            if not anchored:
                return masks
            for number, picture in enumerate(video):  # the only format besides mp4 that sam2 reads
                Image.fromarray(picture).save(Path(folder) / f"{number:05d}.jpg", quality=98)
            state = self.tracker.init_state(video_path=folder)
            for frame, objects in anchored.items():
                self.tracker.reset_state(state)
                for number, one in enumerate(objects):
                    self.tracker.add_new_points_or_box(state, frame, number, box=np.array(one.box, dtype=np.float32))
                for backwards in (False, True):
                    for at, ids, logits in self.tracker.propagate_in_video(state, frame, reverse=backwards):
                        for number, mask in zip(ids, (logits[:, 0] > 0).cpu().numpy(), strict=True):
                            masks[objects[number].phrase, at] |= mask
        return masks


def answer(folder: Path, models: Models) -> None:
    job: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if job["version"] != VERSION:
        raise ValueError(f"the job has version {job['version']}, this worker supports {VERSION}")
    with np.load(folder / "video.npz", allow_pickle=False) as arrays:
        video = arrays["video"]
    np.savez_compressed(folder / "masks.npz", masks=models.segment(video, job["phrases"]))


def finish(folder: Path, fields: dict[str, Any]) -> None:
    (folder / "done.json").write_text(json.dumps({"version": VERSION, **fields}), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=None, help="GroundingDINO's configuration (.py); by default SwinB's")
    parser.add_argument(
        "--weights", default=None, help="GroundingDINO's weights (.pth); default: SwinB's, from the Hub"
    )
    parser.add_argument("--sam2", default="facebook/sam2.1-hiera-large", help="Hub id of SAM 2")
    parser.add_argument("--device", default=None, help="cuda or cpu; by default cuda if available")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    models = None
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        try:
            models = models or Models(options)
            answer(folder, models)
            finish(folder, {"weights": models.name})
        except Exception as error:
            traceback.print_exc()
            finish(folder, {"error": f"{type(error).__name__}: {error}"})
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
