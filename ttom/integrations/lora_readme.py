"""The README beside an exported LoRA: it must not stay on in every step, and here is how to gate it."""

from __future__ import annotations

from pathlib import Path

from ttom.files import write_text

HEADING = "# A LoRA made by TTOM"

_TEXT = """{heading}

Optimized for one video, to place its objects where the layout has them. It was made for the first {steps} of
denoising, which {decide} the layout.

**Use it in these steps only.** Left on in all steps, as LoRA loaders do, it destroys the picture.

With diffusers and TTOM:

```python
from ttom.integrations.diffusers import GatedLora

pipe.load_lora_weights("{folder}", adapter_name="ttom")
video = pipe(prompt, callback_on_step_end=GatedLora(pipe, "ttom", guided_steps={number})).frames[0]
```

With diffusers alone:

```python
def gate(pipe, step, timestep, tensors):
    if step + 1 == {number}:
        pipe.disable_lora()  # pipe.enable_lora() before the next video
    return tensors


pipe.load_lora_weights("{folder}")
video = pipe(prompt, callback_on_step_end=gate).frames[0]
```

With ComfyUI (Wan, exported in its format): two KSampler (Advanced) nodes. The first has the LoRA's model and
`end_at_step` {number}, and returns the leftover noise. The second has the model without the LoRA and `start_at_step`
{number}, and adds no noise.
{unknown}"""
_UNKNOWN = """
The number of guided steps was not recorded with this LoRA. {number} is the default; use the `tto.guided_steps` of the
run that made it.
"""
DEFAULT_GUIDED_STEPS = 5
"""Of the paper and of all presets."""


def write_lora_readme(target: Path, guided_steps: int | None = None) -> Path | None:
    """Write how to use an exported LoRA beside it.

    Args:
        target: The export: a folder, which gets a README.md, or a file, which gets a file of its name and .md.
        guided_steps: In how many steps the LoRA was optimized; None if that is not known.

    Returns:
        The file; None if somebody else's file is in its place, which stays as it is.

    Raises:
        OSError: It cannot be written.
    """
    file = target / "README.md" if target.is_dir() else target.with_suffix(".md")
    if file.is_symlink() or (file.exists() and not _is_ours(file)):
        return None
    number = guided_steps or DEFAULT_GUIDED_STEPS
    text = _TEXT.format(
        heading=HEADING,
        steps=f"{number} steps" if number > 1 else "step",
        decide="decide" if number > 1 else "decides",
        number=number,
        folder=target if target.is_dir() else target.parent,
        unknown="" if guided_steps else _UNKNOWN.format(number=number),
    )
    write_text(file, text)
    return file


def _is_ours(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(HEADING)) == HEADING.encode()
