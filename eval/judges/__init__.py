"""Judges answer questions about videos; their answers are kept as files, so that no question is asked twice.

A judge is a class with the few members of `protocol.Judge`; `JUDGES` names those that the command line offers, each as
"module:function" of a function that makes it from `options.JudgeOptions`.
"""

from __future__ import annotations

JUDGES = {
    "emojiworld": "eval.judges.emojiworld:make",
    "blobs": "eval.judges.blobs:make",
    "grounding": "eval.judges.grounding:make",
    "depth": "eval.judges.depth:make",
    "tracks": "eval.judges.tracks:make",
    "vlm": "eval.judges.vlm:make",
}
