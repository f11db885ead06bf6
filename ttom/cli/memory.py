"""`ttom memory`: what its commands take, as in arguments.py, and what they print."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

from ttom.errors import UserError

if TYPE_CHECKING:  # the rest is imported where it is needed: --help shall be quick
    from ttom.memory.store import Entry

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
    """Read every value: remove files without an entry, quarantine entries whose value is missing or damaged.

    Ends with exit code 2 if something was quarantined.
    """

    path: Folder
    """Folder of the memory."""


@dataclass(frozen=True)
class Reindex:
    """Embed all keys again with another embedder, which generating must then use. Mends an interrupted reindex too."""

    path: Folder
    """Folder of the memory."""
    embedder: Annotated[str, arg(metavar="NAME")]
    """"backbone" (the text encoder of --model), "clip", or a Hub id or folder."""
    model: Annotated[str | None, arg(metavar="NAME")] = None
    """For the embedder "backbone": an embedded checkpoint's name, a Hub id, or a diffusers folder."""


@dataclass(frozen=True)
class Merge:
    """Copy the entries of several memories into one; what it has already is not copied again."""

    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH [PATH ...]")]
    """Folders of the memories to copy from; they are only read."""
    into: Annotated[Path, arg(metavar="PATH")]
    """Folder of the memory to copy into; may be new."""


@dataclass(frozen=True)
class Prune:
    """Delete the least used entries until the rest is within the limits."""

    path: Folder
    """Folder of the memory."""
    max_items: Annotated[int | None, arg(metavar="N")] = None
    """Entries kept at most."""
    max_bytes: Annotated[int | None, arg(metavar="N")] = None
    """Bytes of values kept at most."""
    namespace: Annotated[str | None, arg(metavar="NAME")] = None
    """Count and delete only entries of this namespace; by default all."""


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
    """Delete entries; none if one of the ids does not exist."""

    path: Folder
    """Folder of the memory."""
    ids: Annotated[Positional[tuple[int, ...]], arg(metavar="ID [ID ...]")]
    """Of the entries, as `ttom memory list` shows them."""


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
    | Annotated[Reindex, subcommand("reindex")]
    | Annotated[Merge, subcommand("merge")]
    | Annotated[Prune, subcommand("prune")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Delete, subcommand("delete")]
    | Annotated[Push, subcommand("push")]
    | Annotated[Pull, subcommand("pull")]
)


def run(command: MemoryCommand) -> None:
    """Run a `ttom memory` command and print what came of it. Raises UserError."""
    match command:
        case ListEntries():
            _list(command)
        case Show():
            _show(command)
        case ShowStats():
            _stats(command)
        case Verify():
            _verify(command)
        case Reindex():
            _reindex(command)
        case Merge():
            _merge(command)
        case Prune() | Delete():
            _remove(command)
        case Export():
            _export(command)
        case Push() | Pull():
            _share(command)


def _list(command: ListEntries) -> None:
    from ttom.memory.maintenance import newest
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        entries, total = newest(store, namespace=command.namespace, limit=command.limit), len(store)
    head = ("id", "namespace", "uses", "loss", "key")
    rows = [(str(e.id), _plain(e.namespace), str(e.uses), _losses(e), _plain(e.key)) for e in entries]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
    for row in [head, *rows] if rows else []:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        print("  ".join([*cells, row[4]]))
    print(f"{_counted(len(entries))} of {total}")


def _show(command: Show) -> None:
    from ttom.memory.maintenance import find
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        entry = find(store, command.id)
        file = store.path(entry.sha256)
    if command.json:
        print(json.dumps({**asdict(entry), "embedding": entry.embedding.tolist()}, indent=2))
        return
    layout = json.dumps(entry.layout, ensure_ascii=False) if entry.layout is not None else "none"
    _print_fields(
        {
            "id": entry.id,
            "namespace": entry.namespace,
            "key": entry.key,
            "prompt": entry.prompt,
            "layout": layout,
            "uses": entry.uses,
            "last used": _when(entry.last_used),
            "created": _when(entry.created),
            "loss": _losses(entry),
            "made with": entry.signature,
            "embedding": f"{len(entry.embedding)} numbers",
            "sha256": entry.sha256,
            "bytes": entry.bytes,
            "file": file,
        }
    )


def _stats(command: ShowStats) -> None:
    from ttom.memory.maintenance import stats
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        found = stats(store)
    _print_fields(
        {
            "entries": found.entries,
            "namespaces": ", ".join(f"{name} ({count})" for name, count in found.namespaces.items()) or "none",
            "bytes": found.bytes,
            "made with": "; ".join(found.signatures) or "none",
            "embedder": f"{found.embedder} (dimension {found.dimension})",
            "quarantined": len(found.quarantined),
            "oldest": _when(found.oldest),
            "newest": _when(found.newest),
        }
    )


def _verify(command: Verify) -> None:
    from ttom.memory.maintenance import verify

    found = verify(command.path)
    for name in found.orphans:
        print(f"removed a file without an entry: {_plain(name)}")
    bad = found.quarantined or {}
    for id_, reason in bad.items():
        print(f"quarantined entry {id_}: {reason}")
    if bad:
        raise UserError(
            f"{_counted(len(bad))} of the memory {command.path} had to be quarantined",
            expected="a value that is as it was written for every entry",
            remedy=f"look at {command.path / 'quarantine'}; the other entries are sound and can be used",
        )
    print("every value is as it was written")


def _reindex(command: Reindex) -> None:
    from ttom.memory.embedders import load_embedder
    from ttom.memory.files import read_meta
    from ttom.memory.maintenance import reindex

    read_meta(command.path)  # before a model is loaded: it may be no memory at all
    if command.embedder == "backbone" and command.model is None:
        raise UserError(
            "--embedder backbone is the text encoder of a model, and none is named", remedy="add --model NAME"
        )
    backbone = None
    if command.embedder == "backbone":
        from ttom.backbones import load_backbone

        assert command.model is not None
        backbone = load_backbone(command.model)
    embedder = load_embedder(command.embedder, backbone)
    count = reindex(command.path, embedder)
    print(f"{_counted(count)} embedded again with {embedder.identity} (dimension {embedder.dimension})")


def _merge(command: Merge) -> None:
    from ttom.memory.maintenance import merge

    done = merge(command.sources, command.into)
    for folder, id_, reason in done.damaged:
        print(f"left out entry {id_} of {folder}: {reason}")
    print(f"{_counted(done.copied)} copied into {command.into}, {done.present} there already")


def _remove(command: Prune | Delete) -> None:
    from ttom.memory.maintenance import delete, prune
    from ttom.memory.store import Store

    if isinstance(command, Prune) and command.max_items is None and command.max_bytes is None:
        raise UserError("there is no limit to prune to", expected="--max-items N, --max-bytes N, or both")
    if isinstance(command, Delete) and not command.ids:
        raise UserError("no entry to delete is named", expected="one id or more, as `ttom memory list` shows them")
    with Store(command.path) as store:
        if isinstance(command, Delete):
            count = delete(store, command.ids)
        else:
            count = prune(store, max_items=command.max_items, max_bytes=command.max_bytes, namespace=command.namespace)
        print(f"{_counted(count)} deleted, {len(store)} left")


def _export(command: Export) -> None:
    from ttom.memory.sharing import export
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        print(f"lora: {export(store, command.id, command.out, command.format)}")


def _share(command: Push | Pull) -> None:
    from ttom.memory.sharing import pull, push

    if isinstance(command, Push):
        print(f"pushed: {push(command.path, command.repo, private=not command.public)}")
    else:
        print(f"{_counted(pull(command.repo, command.path))} pulled into {command.path}")


def _print_fields(fields: dict[str, Any]) -> None:
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        print(f"{name + ':':<{width}}{_plain(str(value))}")


def _counted(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def _losses(entry: Entry) -> str:
    before, after = ("?" if loss is None else f"{loss:.3f}" for loss in (entry.loss_before, entry.loss_after))
    return f"{before} -> {after}"


def _when(seconds: float | None) -> str:
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _plain(text: str) -> str:
    """On one line and without control codes: a memory may be somebody else's, and a terminal obeys."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
