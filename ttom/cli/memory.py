"""What the commands of `ttom memory` take, as in arguments.py."""

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
    """List the entries, the last made first: id, namespace, uses, loss before and after, key."""

    path: Folder
    """Folder of the memory."""
    namespace: Annotated[str | None, arg(metavar="NAME")] = None
    """Only entries of this namespace."""
    limit: int = 20
    """Entries listed at most."""


@dataclass(frozen=True)
class Show:
    """Show all that is known of one entry."""

    path: Folder
    """Folder of the memory."""
    id: EntryId
    """Of the entry, as `ttom memory list` shows it."""
    json: FlagCreatePairsOff[bool] = False
    """Print JSON, with the layout and the key's embedding."""


@dataclass(frozen=True)
class ShowStats:
    """Show a memory in numbers: entries, namespaces, bytes, model, embedder, quarantine, age."""

    path: Folder
    """Folder of the memory."""


@dataclass(frozen=True)
class Verify:
    """Check the database and read every value; quarantine entries that are damaged or whose value is missing.

    Ends with exit code 2 if something was quarantined, or if the database is damaged.
    """

    path: Folder
    """Folder of the memory."""
    repair: FlagCreatePairsOff[bool] = False
    """Also remove values that no entry needs and that cannot make one anew."""


@dataclass(frozen=True)
class Rebuild:
    """Make a lost or damaged database anew from the values, and give values of version 1 their record."""

    path: Folder
    """Folder of the memory."""


@dataclass(frozen=True)
class Reindex:
    """Embed all keys again with another embedder, which later runs must use too; also repairs an interrupted reindex.

    The adapters stay those of their model: a memory made with one model never fits another.
    """

    path: Folder
    """Folder of the memory."""
    embedder: Annotated[str, arg(metavar="NAME")]
    """"backbone" (the text encoder of --model), "clip", or a Hub id or folder."""
    model: Annotated[str | None, arg(metavar="NAME")] = None
    """For the embedder "backbone": an embedded checkpoint's name, a Hub id, or a diffusers folder."""


@dataclass(frozen=True)
class Merge:
    """Copy the entries of several memories into one; those that it has already are not copied again.

    Rows and values are checked first; damaged ones are left out. Still, merge only memories of people you trust.
    """

    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH [PATH ...]")]
    """Folders of the memories to copy from; they are only read."""
    into: Annotated[Path, arg(metavar="PATH")]
    """Folder of the memory to copy into; may be new."""


@dataclass(frozen=True)
class Prune:
    """Delete least-used entries until the rest is within the limits; asks first."""

    path: Folder
    """Folder of the memory."""
    max_items: Annotated[int | None, arg(metavar="N")] = None
    """Entries kept at most."""
    max_bytes: Annotated[int | None, arg(metavar="N")] = None
    """Bytes of values kept at most."""
    namespace: Annotated[str | None, arg(metavar="NAME")] = None
    """Count and delete only entries of this namespace; by default all."""
    yes: FlagCreatePairsOff[bool] = False
    """Delete without asking."""


@dataclass(frozen=True)
class Export:
    """Write an entry's adapter as a LoRA file that diffusers or ComfyUI loads."""

    path: Folder
    """Folder of the memory."""
    id: EntryId
    """Of the entry, as `ttom memory list` shows it."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder to write to; for ComfyUI also a file that ends in .safetensors."""
    format: Literal["diffusers", "comfyui"] = "diffusers"
    """"diffusers" for pipe.load_lora_weights(DIR), "comfyui" for its folder models/loras."""


@dataclass(frozen=True)
class Delete:
    """Delete entries; none if one of the ids does not exist. Asks first."""

    path: Folder
    """Folder of the memory."""
    ids: Annotated[Positional[tuple[int, ...]], arg(metavar="ID [ID ...]")]
    """Of the entries, as `ttom memory list` shows them."""
    yes: FlagCreatePairsOff[bool] = False
    """Delete without asking."""


@dataclass(frozen=True)
class Push:
    """Upload a memory to the Hugging Face Hub: its adapters and the prompts that they were made for."""

    path: Folder
    """Folder of the memory."""
    repo: Repo
    """Model repository owner/name; created, for you alone, if there is none."""
    public: FlagCreatePairsOff[bool] = False
    """Let everyone read the repository if it is created."""


@dataclass(frozen=True)
class Pull:
    """Download a memory from the Hugging Face Hub and check every value."""

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
    | Annotated[Merge, subcommand("merge")]
    | Annotated[Prune, subcommand("prune")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Delete, subcommand("delete")]
    | Annotated[Push, subcommand("push")]
    | Annotated[Pull, subcommand("pull")]
)
