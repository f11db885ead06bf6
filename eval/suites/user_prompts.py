"""The prompts of a user's file, in the forms that `ttom stream` reads (.txt, .jsonl, .csv)."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from eval.suites import Options, Suite, case_seed, suite
from eval.types import Case
from ttom.errors import UserError
from ttom.layout.model import load_layout
from ttom.prompts import StreamPrompt, read_prompts

_FOLDER = "prompts"


@suite("prompts")
def from_file(options: Options) -> Suite:
    """A case for each prompt of the file; equal prompts of one file are told apart by their order."""
    if options.data is None:
        raise UserError(
            "the suite prompts needs a file of prompts",
            expected="a .txt, .jsonl or .csv file",
            remedy="`data=FILE`",
        )
    seen = Counter[str]()
    cases = []
    for prompt in read_prompts(options.data):
        name = _name(prompt)
        seen[name] += 1
        case_id = name if seen[name] == 1 else f"{name}-{seen[name]}"
        layout = None
        if prompt.layout is not None:
            layout = load_layout(prompt.layout).model_copy(update={"source": "file"})
        cases.append(
            Case(
                id=case_id,
                suite="prompts",
                category=_FOLDER,
                prompt=prompt.text,
                seed=case_seed(case_id) if prompt.seed is None else prompt.seed,
                video=f"{_FOLDER}/{case_id}.mp4",
                layout=layout,
            )
        )
    # No hash of the file: prompts may be added to it, and a changed prompt is another case.
    return Suite("prompts", "user", tuple(cases), source=options.data.name)


def _name(prompt: StreamPrompt) -> str:
    """The prompt's own id where it can be a file name; else its first words and a hash of it."""
    text = prompt.id if prompt.id is not None else prompt.text
    if prompt.id is not None and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        return text
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48].strip("-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{words}-{digest}" if words else f"prompt-{digest}"
