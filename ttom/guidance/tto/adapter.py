"""The LoRA that test-time optimization trains, put into the transformer by peft and taken out without a trace."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ttom.backbones.protocol import Backbone
from ttom.config import AdapterConfig
from ttom.errors import UserError
from ttom.files import disk_errors, staged
from ttom.integrations.lora_readme import write_lora_readme
from ttom.memory.signature import Signature

NAME = "ttom"


class LoraAdapter:
    """A LoRA on the text-to-video attention of a backbone (section 4.1 of the paper), kept in float32 or better.

    Only tensors that gradient reaches are trained and exported: all projections of the blocks from config.first_block
    to before the last target block, query and key in that block. LoRAs that the user loaded before stay active and
    frozen.

    Args:
        backbone: Its transformer is changed between ``attach`` and ``detach`` only.
        config: Rank, scale and projections.
        blocks: The target blocks.
        seed: Of the gaussian start of A (standard deviation 1 / rank); B starts at 0. The global random state is
            neither read nor changed.
    """

    def __init__(self, backbone: Backbone, config: AdapterConfig, blocks: tuple[int, ...], seed: int) -> None:
        self.backbone, self.config, self.seed = backbone, config, seed
        where = (blocks, config.projections)
        self.targets = backbone.lora_targets(*where, all_blocks=config.all_blocks, first=config.first_block)
        self.trained = backbone.lora_targets(*where, all_blocks=False, first=config.first_block)
        self._undo: _Snapshot | None = None

    @property
    def signature(self) -> Signature:
        """What the values fit: the transformer's class and configuration, blocks, rank, scale and projections."""
        return Signature.of(
            self.backbone.transformer,
            self.trained,
            rank=self.config.rank,
            alpha=self.config.alpha,
            projections=self.config.projections,
        )

    def attach(self) -> None:
        """Put the LoRA in, enabled, trainable, without effect yet; everything else in the transformer is frozen."""
        if self._undo is not None:
            raise RuntimeError("the adapter is attached already")
        transformer = self.backbone.transformer
        self._undo = _Snapshot(transformer, self.targets)
        try:
            config = LoraConfig(
                r=self.config.rank, lora_alpha=self.config.alpha, target_modules=self.targets, init_lora_weights=True
            )
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # the user's own LoRA
                transformer.add_adapter(config, NAME)  # type: ignore[operator]
            self._start_values()
            transformer.requires_grad_(False)
            self.enabled(True)
        except BaseException:
            self.detach()
            raise

    def detach(self) -> None:
        """Restore the transformer's modules, flags and the user's own LoRAs as they were; no effect if detached."""
        if self._undo is not None:
            self._undo.restore()
            self._undo = None

    def enabled(self, on: bool) -> None:
        """Switch the LoRA's effect on or off; off, the outputs equal the plain model's bit for bit."""
        assert self._undo is not None, "attach the adapter first"
        for layer, others in self._layers():
            layer.enable_adapters(True)
            layer.set_adapter([*others, NAME] if on else others)
            if not on and not others:
                layer.enable_adapters(False)
            layer.requires_grad_(False)
        for parameter in self.named_parameters().values():
            parameter.requires_grad_(on)

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """The trained tensors: ``<module>.lora_A.weight`` ``(rank, in)`` and ``<module>.lora_B.weight``."""
        found = {}
        for name in self.trained:
            found[f"{name}.lora_A.weight"], found[f"{name}.lora_B.weight"] = self._weights(name)
        return found

    def parameters(self) -> list[nn.Parameter]:
        """The trained tensors, as an optimizer takes them."""
        return list(self.named_parameters().values())

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the trained tensors on the CPU, by name."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.named_parameters().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set the trained tensors. Raises UserError if names or shapes are another adapter's."""
        own = self.named_parameters()
        theirs = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if theirs != {name: tuple(tensor.shape) for name, tensor in own.items()}:
            raise UserError(
                "the adapter values do not fit this model and these settings",
                expected=f"{len(own)} tensors of rank {self.config.rank} for blocks up to the last target block",
                remedy="use the `adapter` and `tto.blocks` settings they were made with",
            )
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)

    def save(self, folder: str | Path, guided_steps: int | None = None, state: dict[str, Tensor] | None = None) -> None:
        """Write trained tensors so that the stock ``pipe.load_lora_weights(folder)`` loads them, scale included.

        A README beside them says how to keep the LoRA to the ``guided_steps`` first steps, as it must be.

        Args:
            folder: Made if it does not exist.
            guided_steps: How many steps the LoRA was optimized in.
            state: Values of `state_dict`; its present ones if None, which needs an attached adapter.

        Raises:
            UserError: The folder cannot be written.
        """
        with staged(Path(folder)) as stage:
            self.backbone.pipe.save_lora_weights(
                str(stage),
                transformer_lora_layers=self.state_dict() if state is None else state,
                transformer_lora_adapter_metadata={
                    "r": self.config.rank,
                    "lora_alpha": self.config.alpha,
                    "target_modules": self.trained,
                },
            )
        with disk_errors(folder):
            write_lora_readme(Path(folder), guided_steps)

    def _weights(self, name: str) -> tuple[nn.Parameter, nn.Parameter]:
        layer: Any = self.backbone.transformer.get_submodule(name)
        return layer.lora_A[NAME].kept, layer.lora_B[NAME].kept

    def _layers(self) -> list[tuple[BaseTunerLayer, list[str]]]:
        """Each LoRA layer with the names of the user's adapters that were active in it."""
        assert self._undo is not None
        layers = [m for m in self.backbone.transformer.modules() if isinstance(m, BaseTunerLayer)]
        return [(layer, self._undo.active.get(layer, [])) for layer in layers]

    @torch.no_grad()
    def _start_values(self) -> None:
        generator = torch.Generator("cpu").manual_seed(self.seed)
        for name in self.targets:
            layer: Any = self.backbone.transformer.get_submodule(name)
            for linears in (layer.lora_A, layer.lora_B):
                linears[NAME] = _Rounded(linears[NAME].weight, self.backbone.dtype)
            first, second = self._weights(name)
            first.copy_(torch.randn(first.shape, generator=generator) / self.config.rank)
            second.zero_()


class _Rounded(nn.Module):
    """A linear layer whose weight is kept in float32 or better, and rounded to the model's format where it is used.

    Steps of AdamW would be lost in bfloat16 weights. With float32 weights peft would turn the video tokens to float32,
    and keep them so for the backward.
    """

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.kept = nn.Parameter(weight.to(dtype if dtype.itemsize > 4 else torch.float32))
        self.dtype = dtype

    @property
    def weight(self) -> Tensor:
        """As peft sees it."""
        return self.kept.to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight)


class _Snapshot:
    """What attaching changes in a transformer, and how to change it back."""

    def __init__(self, transformer: nn.Module, targets: list[str]) -> None:
        self.transformer = transformer
        self.modules = {name: transformer.get_submodule(name) for name in targets}
        tuners = [m for m in transformer.modules() if isinstance(m, BaseTunerLayer)]
        self.switches = {layer: (list(layer.active_adapters), layer.disable_adapters) for layer in tuners}
        self.active = {layer: [] if off else names for layer, (names, off) in self.switches.items()}
        self.flags = [(parameter, parameter.requires_grad) for parameter in transformer.parameters()]
        self.had = {name: name in vars(transformer) for name in ("peft_config", "_hf_peft_config_loaded")}

    def restore(self) -> None:
        for name, module in self.modules.items():
            if isinstance(module, BaseTunerLayer):
                module.set_adapter([])
                module.delete_adapter(NAME)
            else:  # peft wrapped the plain layer: put the layer itself back
                parent, _, child = name.rpartition(".")
                setattr(self.transformer.get_submodule(parent), child, module)
        for layer, (names, off) in self.switches.items():
            layer.enable_adapters(True)
            layer.set_adapter(names)
            layer._disable_adapters = off
        if self.had["peft_config"]:
            self.transformer.peft_config.pop(NAME, None)  # type: ignore[operator, union-attr]
        for name, had in self.had.items():
            if not had and name in vars(self.transformer):
                delattr(self.transformer, name)
        for parameter, flag in self.flags:
            parameter.requires_grad_(flag)
