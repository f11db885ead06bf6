"""A stand-in for the package vbench: its class and command with their arguments, files and habits, but no models."""

from __future__ import annotations

from pathlib import Path

INIT = """
import json, os, sys
class VBench:
    def __init__(self, device, full_info_dir, output_path):
        self.info, self.out = full_info_dir, output_path
        os.makedirs(output_path, exist_ok=True)
    def evaluate(self, videos_path, name, prompt_list=[], dimension_list=None, local=False, read_frame=False, mode="x"):
        names = os.listdir(videos_path)
        ending = os.path.splitext(names[0])[1]  # a stray file makes every video missing
        results = {}
        for dimension in dimension_list:
            if os.environ.get("FAIL_AT") == dimension:
                raise RuntimeError("CUDA out of memory")
            listed = []
            for entry in json.load(open(self.info)):
                if dimension not in entry["dimension"]:
                    continue
                for i in range(5):
                    video = entry["prompt_en"] + "-" + str(i) + ending
                    if video in names:
                        value = {"imaging_quality": 60.0, "human_action": True}.get(dimension, 0.25)
                        listed.append({"video_path": os.path.join(videos_path, video), "video_results": value})
            if dimension == "color":
                assert all(e["auxiliary_info"]["color"] for e in json.load(open(self.info)))
            results[dimension] = [sum(float(v["video_results"]) for v in listed) / len(listed), listed]
            if dimension == "imaging_quality":
                results[dimension][0] /= 100
        with open(os.path.join(self.out, name + "_eval_results.json"), "w") as file:
            json.dump(results, file, indent=4)
"""
COMMAND = """
import os, shutil, sys
def main():
    assert sys.argv[1] == "static_filter" or sys.argv[0] == "static_filter", sys.argv
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    target = os.path.join(options["--result_path"], "filtered_videos")
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(options["--videos_path"])):
        if not name.endswith("-1.mp4"):  # the second sample of each prompt moves
            shutil.copy(os.path.join(options["--videos_path"], name), os.path.join(target, name))
"""
TORCH = """
class cuda:
    @staticmethod
    def is_available():
        return False
def device(name):
    return name
"""


def make_package(folder: Path) -> Path:
    """A folder for PYTHONPATH with vbench, and a torch that says there is no GPU."""
    for name, text in {
        "vbench/__init__.py": INIT, "vbench/cli/__init__.py": "", "vbench/cli/vbench.py": COMMAND, "torch.py": TORCH,
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
