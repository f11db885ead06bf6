"""GroundingDINO: boxes of what a text names. Dimension letters: Q boxes, L text tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ttom.vision.loading import load_pretrained


@dataclass(frozen=True)
class Candidates:
    """All boxes that the model proposes for a text, before any threshold.

    Attributes:
        scores: ``(Q, L)`` of boxes and tokens, 0..1, special tokens included.
        boxes: ``(Q, 4)``: center x, center y, width, height in shares of the picture.
        offsets: First and last-but-one character of each token; empty for special tokens.
        tokens: Ids of the tokens.
    """

    scores: np.ndarray
    boxes: np.ndarray
    offsets: list[tuple[int, int]]
    tokens: list[int]


class GroundingDino:
    """A GroundingDinoForObjectDetection with its tokenizer and image processor, in float32.

    Args:
        source: Hub id or folder.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoTokenizer, GroundingDinoForObjectDetection, GroundingDinoImageProcessorPil

        self.device = torch.device(device)
        self.tokenizer = load_pretrained(AutoTokenizer, source)
        self.processor = load_pretrained(GroundingDinoImageProcessorPil, source)
        self.model = load_pretrained(GroundingDinoForObjectDetection, source).float().eval().to(self.device)

    @torch.no_grad()
    def query(self, picture: np.ndarray, text: str) -> Candidates:
        """Boxes of the text, lower case with full stops ("a cat. a dog."), in a uint8 picture ``(H, W, 3)``."""
        words = self.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        offsets = [(int(start), int(end)) for start, end in words.pop("offset_mapping")[0]]
        pixels = self.processor(images=picture, return_tensors="pt")
        output = self.model(**{name: value.to(self.device) for name, value in {**pixels, **words}.items()})
        scores = output.logits[0].sigmoid().cpu().numpy()[:, : len(offsets)]
        return Candidates(scores, output.pred_boxes[0].cpu().numpy(), offsets, words["input_ids"][0].tolist())

    def decode(self, tokens: list[int]) -> str:
        """The words of some token ids, as the tokenizer joins them."""
        return str(self.tokenizer.decode(tokens))
