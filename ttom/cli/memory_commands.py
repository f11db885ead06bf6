"""Implementation of the `ttom memory` commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ttom.cli import memory_output as output
from ttom.cli.memory import (
    Calibrate,
    Delete,
    Export,
    ListEntries,
    MemoryCommand,
    Merge,
    Prune,
    Pull,
    Push,
    Rebuild,
    Reindex,
    Show,
    ShowStats,
    Verify,
)
from ttom.errors import UserError

if TYPE_CHECKING:
    from ttom.memory.embedders import TextEmbedder

# Everything else is imported where it is needed, since most commands need neither torch nor a model.


def run(command: MemoryCommand) -> None:
    """Run a `ttom memory` command and print its result. Raises UserError."""
    match command:
        case ListEntries():
            _list(command)
        case Show():
            _show(command)
        case ShowStats():
            _stats(command)
        case Verify():
            _verify(command)
        case Rebuild():
            _rebuild(command)
        case Reindex():
            _reindex(command)
        case Calibrate():
            _calibrate(command)
        case Merge():
            _merge(command)
        case Prune() | Delete():
            _remove(command)
        case Export():
            _export(command)
        case Push() | Pull():
            _share(command)


def _list(command: ListEntries) -> None:
    from ttom.memory.entries import Entry
    from ttom.memory.maintenance import newest
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        rows, total = newest(store, namespace=command.namespace, limit=command.limit), len(store)
    entries = [row for _, row in rows if isinstance(row, Entry)]
    if entries:
        output.print_entries(entries)
    for id_, row in rows:
        if not isinstance(row, Entry):
            print(f"entry {id_} has a damaged row: {output.printable(str(row))}")
    print(f"{output.counted(len(rows))} of {total}")


def _show(command: Show) -> None:
    import json
    from contextlib import suppress

    from pydantic import ValidationError

    from ttom.layout.model import Layout
    from ttom.memory.maintenance import find
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        entry = find(store, command.id)
        file = store.values.path(entry.sha256)
    if command.json:
        plain = entry.model_dump() | {"embedding": entry.embedding.tolist(), "signature": str(entry.signature)}
        print(json.dumps(plain, indent=2))
        return
    layout = json.dumps(entry.layout, ensure_ascii=False) if entry.layout is not None else "none"
    output.print_fields(
        {
            "id": entry.id,
            "namespace": entry.namespace,
            "key": entry.key,
            "prompt": entry.prompt,
            "layout": layout,
            "uses": entry.uses,
            "last used": output.when(entry.last_used),
            "created": output.when(entry.created),
            "loss": output.losses(entry),
            "made with": entry.signature,
            "origin": entry.origin or "none",
            "embedding": f"{len(entry.embedding)} numbers",
            "sha256": entry.sha256,
            "bytes": entry.bytes,
            "file": file,
        }
    )
    with suppress(ValidationError, UserError):  # it has no layout, or not one of its prompt
        print(f"\n{output.drawn(entry.prompt, Layout.model_validate(entry.layout))}")


def _stats(command: ShowStats) -> None:
    from ttom.config import MemoryConfig
    from ttom.memory.calibration import stored_calibration, threshold_of
    from ttom.memory.maintenance import stats
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        found, threshold = stats(store), threshold_of(MemoryConfig(), store)
        calibrated = stored_calibration(store.meta) is not None
    output.print_fields(
        {
            "entries": found.entries,
            "namespaces": ", ".join(f"{name} ({count})" for name, count in found.namespaces.items()) or "none",
            "bytes": found.bytes,
            "made with": "; ".join(map(str, found.signatures)) or "none",
            "threshold": f"{threshold:g} ({'calibrated' if calibrated else 'not calibrated'})",
            "embedder": f"{found.embedder} (dimension {found.dimension})",
            "quarantined": len(found.quarantined),
            "oldest": output.when(found.oldest),
            "newest": output.when(found.newest),
        }
    )


def _verify(command: Verify) -> None:
    from ttom.memory.maintenance import verify

    found = verify(command.path, repair=command.repair)
    for name in found.strange[:20]:
        print(f"foreign file, left alone: values/{output.printable(name)}")
    for sha256 in found.orphans:
        state = "moved to quarantine" if sha256 in found.set_aside else "left alone, as it is not what its name says"
        print(f"value without an entry, {state}: {sha256}")
    bad = found.quarantined or {}
    for id_, reason in bad.items():
        print(f"quarantined entry {id_}: {output.printable(reason)}")
    if not found.clean:
        problems = [f"{output.counted(len(bad))} had to be quarantined"] if bad else []
        if found.orphans:
            problems.append(f"{len(found.orphans)} of its values belong{'s' * (len(found.orphans) == 1)} to no entry")
        raise UserError(
            f"the memory {command.path} was damaged: {', and '.join(problems)}",
            expected="an unchanged row and value for every entry, and an entry for every value",
            remedy=f"inspect {command.path / 'quarantine'} and the files named above; all other entries are intact",
        )
    print(f"{output.counted(found.entries)} verified: every row and value is intact")


def _rebuild(command: Rebuild) -> None:
    from ttom.memory.rebuild import rebuild

    done = rebuild(command.path)
    for id_, reason in done.quarantined.items():
        print(f"quarantined entry {id_}: {output.printable(reason)}")
    for sha256 in done.damaged:
        print(f"moved a damaged value to quarantine: {sha256}")
    for sha256 in done.set_aside:
        print(f"moved a value of version 1 without an entry to quarantine: {sha256}")
    if done.upgraded:
        print(f"added records to {done.upgraded} values of version 1")
    print(f"{output.counted(done.entries)} in the new database, {done.recovered} of them recovered from their values")
    if done.reindex:
        print(f"some keys come from another embedder: run ttom memory reindex {command.path} before use")


def _reindex(command: Reindex) -> None:
    from ttom.memory.files import read_meta
    from ttom.memory.key_maker import KeyMaker, KeyTerms
    from ttom.memory.maintenance import reindex, without_layout

    terms = KeyTerms.of(read_meta(command.path)["embedder"])  # fails before a model is loaded if this is no memory
    embedder = _embedder(command)
    kind, lacking = command.key, without_layout(command.path) if command.key != "text" else 0
    if lacking:
        kind = "text"
        print(f"{output.counted(lacking)} without a layout: the keys are of the text alone")
    keys = KeyMaker(embedder, kind, terms.layout_share)
    count = reindex(command.path, keys)
    print(f"{output.counted(count)} reindexed with {keys.identity} (dimension {keys.dimension})")


def _calibrate(command: Calibrate) -> None:
    from ttom.cli.calibration_prompts import examples
    from ttom.memory.calibration import calibrate, keep_calibration
    from ttom.memory.files import read_meta
    from ttom.memory.key_maker import KeyMaker, KeyTerms, check_terms
    from ttom.memory.store import Store

    identity = read_meta(command.path)["embedder"]
    terms = KeyTerms.of(identity)
    keys = KeyMaker(_embedder(command), terms.kind, terms.layout_share)
    check_terms(command.path, identity, keys)
    found = calibrate(keys, examples())
    with Store(command.path) as store:
        keep_calibration(store, found)
    print(
        f"threshold {found.threshold:g}: with half of {found.prompts} prompts stored, {found.found:.1%} of the others "
        f"find their composition; {found.wrong:.1%} find another one if theirs is missing"
    )


def _embedder(command: Reindex | Calibrate) -> TextEmbedder:
    """The embedder that a command names. Raises UserError, also if the adapters are of another model."""
    from ttom.memory.embedders import load_embedder
    from ttom.memory.maintenance import check_model

    if command.embedder != "backbone":
        return load_embedder(command.embedder)
    if command.model is None:
        raise UserError(
            "`embedder=backbone` is the text encoder of a model, and none is named", remedy="add `model=NAME`"
        )
    from ttom.backbones import load_backbone
    from ttom.memory.signature import model_of

    backbone = load_backbone(command.model)
    check_model(command.path, model_of(backbone.transformer))
    return load_embedder(command.embedder, backbone)


def _merge(command: Merge) -> None:
    from ttom.memory.merging import merge

    done = merge(command.sources, command.into)
    for folder, id_, reason in done.damaged:
        print(f"left out entry {id_} of {folder}: {output.printable(reason)}")
    print(f"{output.counted(done.copied)} copied into {command.into}, {done.present} already present")


def _remove(command: Prune | Delete) -> None:
    from ttom.memory.maintenance import check_ids, least_needed
    from ttom.memory.store import Store

    if isinstance(command, Prune) and command.max_items is None and command.max_bytes is None:
        raise UserError("no limit is given", expected="`max_items=N`, `max_bytes=N`, or both")
    if isinstance(command, Delete) and not command.ids:
        raise UserError("no entry is given", expected="one or more ids, as shown by `ttom memory list`")
    with Store(command.path) as store:
        if isinstance(command, Delete):
            ids = check_ids(store, command.ids)
        else:
            items, size = command.max_items, command.max_bytes
            ids = least_needed(store, max_items=items, max_bytes=size, namespace=command.namespace)
        entries = list(store.entries(ids))
        if ids:
            if not command.yes:
                output.print_entries(entries)
            output.confirm(f"{output.counted(len(ids))} of {command.path} would be deleted", yes=command.yes)
        gone = set(store.delete(ids)) if ids else set()
        keys = {entry.id: f": {output.printable(entry.key)}" for entry in entries}
        for id_ in ids:
            if id_ in gone:
                print(f"deleted entry {id_}{keys.get(id_, ' (damaged row)')}")
        print(f"{output.counted(len(gone))} deleted, {len(store)} left")


def _export(command: Export) -> None:
    from ttom.memory.export import export
    from ttom.memory.store import Store

    with Store(command.path, read_only=True) as store:
        print(f"lora: {export(store, command.id, command.out, command.format)}")


def _share(command: Push | Pull) -> None:
    from ttom.memory.sharing import pull, push

    if isinstance(command, Push):
        print(f"pushed: {push(command.path, command.repo, private=not command.public)}")
    else:
        print(f"{output.counted(pull(command.repo, command.path))} pulled into {command.path}")
