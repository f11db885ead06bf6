"""A stand-in for T2V-CompBench's repository: scripts with its arguments, files and habits, but no models.

Like the real ones, they read folders unfiltered, write siblings of the video folder, append to their CSV files and go
on by counting lines. A video's score depends on its number. FAIL_AT in the environment makes them die at a video.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from eval.toolkits.compbench import SCRIPTS, WEIGHTS

COMMON = """
import argparse, csv, json, os, sys
def options():
    parser = argparse.ArgumentParser()
    for name in ("video-path", "read-prompt-file", "output-path", "output_path", "output_dir", "depth_folder",
                 "mask_folder", "total_frame", "fps"):
        parser.add_argument("--" + name, dest=name.replace("-", "_"))
    parser.add_argument("--t2v-model", "--t2v_model", dest="t2v_model", required=True)
    return parser.parse_args()
def videos(folder):
    names = sorted(os.listdir(folder))  # unfiltered: anything else in the folder breaks the run
    assert all(name.endswith(".mp4") and len(name) == 8 and name[:4].isdigit() for name in names), names
    assert all(os.path.getsize(os.path.join(folder, name)) for name in names)
    return names
def sibling(folder, kind):
    place = os.path.join(os.path.dirname(folder), kind, os.path.basename(folder))
    os.makedirs(place)  # not made twice
    return place
def dies(number):
    if os.environ.get("FAIL_AT") == str(number):
        print("CUDA out of memory")
        sys.exit(1)
def append(path, header, row):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = not os.path.exists(path)
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(header)
        if row:
            writer.writerow(row)
def lines(path):
    if not os.path.exists(path):
        return 0
    with open(path, newline="") as file:
        return len(list(csv.reader(file)))
"""
LANGUAGE = """
o = options()
sibling(o.video_path, "image_grid")
names = videos(o.video_path)
items = json.load(open(o.read_prompt_file))
path = os.path.join(o.output_path, o.t2v_model + "_{csv}.csv")
header = ["name", "prompt", "seed0_answer1", "Score"]
for name in names[max(lines(path) - 1, 0):]:
    number = int(name[:4])
    dies(number)
    assert all(key in items[number - 1] for key in {fields!r}), items[number - 1]
    score = "bad reply" if number == 3 else {low} + number % 2 * {span}
    append(path, header, [name[:4] + ".png", items[number - 1]["prompt"], "A car,\\nand a fence", score])
with open(path, newline="") as file:
    rows = list(csv.reader(file))
values = []
for row in rows[1:]:
    try:
        values.append((float(row[-1]) - {low}) / {span})
    except ValueError:
        continue
append(path, header, ["score: ", sum(values) / len(values)])
"""
NUMERACY = """
o = options()
sibling(o.video_path, "frames")
items = json.load(open(o.read_prompt_file))
frames = os.path.join(o.output_path, o.t2v_model + "_numeracy_frame.csv")
done = max(lines(frames) - 1, 0)  # frames taken for videos
scores = []
for name in videos(o.video_path)[done:]:
    number = int(name[:4])
    dies(number)
    assert items[number - 1]["objects"] and items[number - 1]["numbers"]
    for frame in range(16):
        append(frames, ["video_name", "image_name", "score"], [name[:4], frame, number % 2])
    scores.append((name[:4], number % 2))
path = os.path.join(o.output_path, o.t2v_model + "_numeracy_video.csv")
for name, score in scores:
    append(path, ["id", "Score_frame_1", "Score_1"], [name, [score] * 16, score])
append(path, ["id"], ["score: ", sum(score for _, score in scores) / len(scores)])
"""
SPATIAL = """
sys.path.append("./Depth-Anything")
import compbench_run_depth
o = options()
sibling(o.video_path, "frames")
assert os.path.isabs(o.depth_folder) and os.path.isabs(o.output_dir)
items = json.load(open(o.read_prompt_file))
names = videos(o.video_path)
path = os.path.join(o.output_path, o.t2v_model + "_spatial_score.csv")
for name in names:
    number = int(name[:4])
    dies(number)
    append(path, ["id", "score_frame", "Score"], [name[:4], [0.4] * 16, 0.4 + number / 100])
mean = sum(0.4 + int(name[:4]) / 100 for name in names) / len(names)
append(path, [], ["Score: ", mean])
"""
SEGMENT = """
o = options()
names = videos(o.video_path)
sibling(o.video_path, "frames")
standard = sibling(o.video_path, "video_standard")
assert (o.total_frame, o.fps) == ("17", "8")
for name in names:
    open(os.path.join(standard, name), "wb").write(b"standard")
    os.makedirs(os.path.join(o.output_dir, o.t2v_model, name[:4]))
"""
TRACK = """
o = options()
assert os.path.basename(os.getcwd()) == "dot"
names = videos(o.video_path)
base = os.path.join(o.output_path, o.t2v_model)
rows = []
for name in names:
    number = int(name[:4])
    dies(number)
    assert os.path.isdir(os.path.join(o.mask_folder, o.t2v_model, name[:4]))
    raw = [-1, 0, 0.5][number % 3]
    rows.append([name[:4], "cat", "left", "", "", raw, 0 if raw < 0 else 0.2 + 0.8 * raw])
for row in rows:
    append(base + "_motion_back_fore.csv", ["id", "obj_net_left"], [row[0], row[5]])
    header = ["id", "object_1", "d_1", "object_2", "d_2", "Score_before_adjust", "Score"]
    append(base + "_motion_score.csv", header, row)
append(base + "_motion_score.csv", [], ["score: ", sum(row[-1] for row in rows) / len(rows)])
"""


def make_toolkit(folder: Path) -> Path:
    """The scripts and empty weights."""
    bodies = {
        "consistent": LANGUAGE.format(csv="consistent_attr_score", fields=["prompt", "phrases"], low=1, span=14),
        "dynamic": LANGUAGE.format(csv="dynamic_attr_score", fields=["state 0", "state 1"], low=0, span=1),
        "action": LANGUAGE.format(csv="action_binding_score", fields=["phrase_0", "phrase_1"], low=1, span=9),
        "interaction": LANGUAGE.format(csv="object_interactions_score", fields=["prompt"], low=1, span=9),
        "numeracy": NUMERACY,
    }
    files = {SCRIPTS[name][0]: COMMON + body for name, body in bodies.items()}
    files |= dict(zip(SCRIPTS["spatial"], (COMMON + SPATIAL, "READY = True\n"), strict=True))
    files |= dict(zip(SCRIPTS["motion"], (COMMON + SEGMENT, COMMON + TRACK), strict=True))
    files |= dict.fromkeys([*(w for ws in WEIGHTS.values() for w in ws), "dot/checkpoints/tracker.pth"], "")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def python() -> Path:
    """The interpreter that runs the scripts."""
    return Path(os.path.abspath(sys.executable))
