"""Arguments of the `ttom memory` commands, as in arguments.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

Folder = Annotated[Positional[Path], arg(metavar="PATH")]
EntryId = Annotated[Positional[int], arg(metavar="ID")]
Repo = Annotated[Positional[str], arg(metavar="REPO")]


@dataclass(frozen=True)
class ListEntries:
    """List the entries, newest first: id, namespace, uses, loss before and after, key."""

    path: Folder
    """Folder of the memory."""
    namespace: Annotated[str | None, arg(metavar="NAME")] = None
    """Only entries of this namespace."""
    limit: int = 20
    """Maximum number of entries."""


@dataclass(frozen=True)
class Show:
    """Show everything about one entry, with a drawing of its layout at the start, in the middle and at the end."""

    path: Folder
    """Folder of the memory."""
    id: EntryId
    """Id of the entry, as shown by `ttom memory list`."""
    json: FlagCreatePairsOff[bool] = False
    """Print JSON, with the layout and the key's embedding."""


@dataclass(frozen=True)
class ShowStats:
    """Show statistics: entries, namespaces, bytes, model, embedder, quarantine, age."""

    path: Folder
    """Folder of the memory."""


@dataclass(frozen=True)
class Verify:
    """Check the database and read every value; quarantine entries that are damaged or whose value is missing.

    Ends with exit code 2 if something was quarantined, a value has no entry, or the database is damaged.
    """

    path: Folder
    """Folder of the memory."""
    repair: FlagCreatePairsOff[bool] = False
    """Also move values of version 1 without an entry to quarantine."""


@dataclass(frozen=True)
class Rebuild:
    """Rebuild a lost or damaged database from the values, and add records to values of version 1."""

    path: Folder
    """Folder of the memory."""


@dataclass(frozen=True)
class Calibrate:
    """Measure which similarity means "the same composition", and store that threshold with the memory.

    Captions of known composition are embedded with the memory's embedder; its entries are neither read nor changed.
    """

    path: Folder
    """Folder of the memory."""
    embedder: Annotated[str, arg(metavar="NAME")] = "backbone"
    """"backbone" (the text encoder of --model), "clip", or a Hub id or folder: that of the memory."""
    model: Annotated[str | None, arg(metavar="NAME")] = None
    """For the embedder "backbone": an embedded checkpoint's name, a Hub id, or a diffusers folder."""


@dataclass(frozen=True)
class Reindex:
    """Recompute all keys with another embedder, which later runs must use too; also repairs an interrupted reindex.

    The adapters still fit only the model they were made with.
    """

    path: Folder
    """Folder of the memory."""
    embedder: Annotated[str, arg(metavar="NAME")]
    """"backbone" (the text encoder of --model), "clip", or a Hub id or folder."""
    model: Annotated[str | None, arg(metavar="NAME")] = None
    """For the embedder "backbone": an embedded checkpoint's name, a Hub id, or a diffusers folder."""
    key: Literal["text", "layout", "both"] = "both"
    """What entries are found by; "both" keeps the memory's share of the layout. If an entry has no layout, the keys are
    of the text alone."""


@dataclass(frozen=True)
class Merge:
    """Copy the entries of several memories into one; those already present are not copied again.

    All rows and values are checked, and damaged ones are left out. Still, merge only memories from people you trust.
    """

    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH [PATH ...]")]
    """Folders of the memories to copy from; never modified."""
    into: Annotated[Path, arg(metavar="PATH")]
    """Folder of the memory to copy into; created if it does not exist."""


@dataclass(frozen=True)
class Prune:
    """Delete least-used entries until the rest is within the limits. Asks for confirmation."""

    path: Folder
    """Folder of the memory."""
    max_items: Annotated[int | None, arg(metavar="N")] = None
    """Maximum number of entries to keep."""
    max_bytes: Annotated[int | None, arg(metavar="N")] = None
    """Maximum total size of their values in bytes."""
    namespace: Annotated[str | None, arg(metavar="NAME")] = None
    """Consider only entries of this namespace; by default all."""
    yes: FlagCreatePairsOff[bool] = False
    """Delete without asking."""


@dataclass(frozen=True)
class Export:
    """Export an entry's adapter as a LoRA file for diffusers or ComfyUI."""

    path: Folder
    """Folder of the memory."""
    id: EntryId
    """Id of the entry, as shown by `ttom memory list`."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Output folder; for ComfyUI also a file name ending in .safetensors."""
    format: Literal["diffusers", "comfyui"] = "diffusers"
    """"diffusers" for pipe.load_lora_weights(DIR), "comfyui" for its folder models/loras."""


@dataclass(frozen=True)
class Delete:
    """Delete entries, or none if one of the ids does not exist. Asks for confirmation."""

    path: Folder
    """Folder of the memory."""
    ids: Annotated[Positional[tuple[int, ...]], arg(metavar="ID [ID ...]")]
    """Ids of the entries, as shown by `ttom memory list`."""
    yes: FlagCreatePairsOff[bool] = False
    """Delete without asking."""


@dataclass(frozen=True)
class Push:
    """Upload a memory to the Hugging Face Hub, including the prompts its adapters were made for."""

    path: Folder
    """Folder of the memory."""
    repo: Repo
    """Model repository owner/name; created as a private repository if it does not exist."""
    public: FlagCreatePairsOff[bool] = False
    """Create a public repository."""


@dataclass(frozen=True)
class Pull:
    """Download a memory from the Hugging Face Hub and check every entry."""

    repo: Repo
    """Repository owner/name."""
    path: Folder
    """New or empty folder for the memory."""


MemoryCommand = (
    Annotated[ListEntries, subcommand("list")]
    | Annotated[Show, subcommand("show")]
    | Annotated[ShowStats, subcommand("stats")]
    | Annotated[Verify, subcommand("verify")]
    | Annotated[Rebuild, subcommand("rebuild")]
    | Annotated[Reindex, subcommand("reindex")]
    | Annotated[Calibrate, subcommand("calibrate")]
    | Annotated[Merge, subcommand("merge")]
    | Annotated[Prune, subcommand("prune")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Delete, subcommand("delete")]
    | Annotated[Push, subcommand("push")]
    | Annotated[Pull, subcommand("pull")]
)
