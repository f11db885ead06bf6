"""Settings of the judges that the command line offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class GroundingOptions:
    """GroundingDINO and SAM 2."""

    detector: str = "IDEA-Research/grounding-dino-tiny"
    """Hub id or folder of a GroundingDinoForObjectDetection; the default is the official toolkit's SwinT-OGC."""
    segmenter: str = "facebook/sam2.1-hiera-large"
    """Hub id or folder of a Sam2VideoModel."""


@dataclass(frozen=True)
class DepthOptions:
    """Depth-Anything."""

    model: str = "LiheYoung/depth-anything-large-hf"
    """Hub id or folder of a DepthAnythingForDepthEstimation; the default is the official toolkit's ViT-L."""


@dataclass(frozen=True)
class TrackOptions:
    """Point tracks from files."""

    folder: Path | None = None
    """Folder with SHA256.safetensors for each video, as eval/judges/cotracker_worker.py writes it."""
    name: str = "files"
    """Who made them, such as "cotracker3"."""


@dataclass(frozen=True)
class VlmOptions:
    """A vision language model behind an OpenAI-compatible endpoint."""

    model: str | None = None
    """Name of the model at the endpoint."""
    base_url: str | None = None
    """Address that ends in /v1; by default OPENAI_BASE_URL, or OpenAI's."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key."""
    concurrency: int = 8
    """Videos asked about at once."""
    timeout: float = 120.0
    """Seconds for one try of a request."""
    retries: int = 4
    """Further tries of a request after 429, 5xx and broken connections."""
    max_tokens: int = 512
    """Tokens of a reply."""
    max_side: int = 1024
    """Pixels of the longer side of a picture that is sent."""
    plain: bool = False
    """Send neither temperature nor seed, for models that refuse them."""
    input_price: float | None = None
    """US dollars per million input tokens."""
    output_price: float | None = None
    """US dollars per million output tokens."""
    budget: float | None = None
    """US dollars after which no further question is asked; needs both prices."""


@dataclass(frozen=True)
class JudgeOptions:
    """What judges are made from."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """"auto" takes a GPU if there is one."""
    grounding: GroundingOptions = field(default_factory=GroundingOptions)
    depth: DepthOptions = field(default_factory=DepthOptions)
    tracks: TrackOptions = field(default_factory=TrackOptions)
    vlm: VlmOptions = field(default_factory=VlmOptions)
