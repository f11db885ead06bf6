"""A process that writes to a memory until it is killed, and logs what was acknowledged.

Run as ``python -m experiments.faults.writer FOLDER LOG SEED [OPERATIONS]``, or forked by `kill`. A line of the log is
written before an operation (``start``) and after it returned; "shared" entries are updated by every process.

    start insert NUMBER        insert ID NUMBER
    start replace ID NUMBER    replace ID NUMBER
    start delete ID            delete ID
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from experiments.faults.small import insert, tensors
from ttom.memory.store import Store


def write(folder: Path, log: Path, seed: int, operations: int | None = None) -> None:
    """Write for ever, or so many operations."""
    rng = random.Random(seed)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(*words: object) -> None:
        os.write(handle, (" ".join(map(str, words)) + "\n").encode())

    try:
        with Store(folder) as store:
            shared = store.ids()[:3]
            own: list[int] = []
            done = 0
            while operations is None or done < operations:
                done += 1
                number = rng.randrange(10**6)
                kind = rng.random()
                if kind < 0.4:
                    tell("start", "insert", number)
                    own.append(insert(store, number))
                    tell("insert", own[-1], number)
                elif kind < 0.75 or (kind >= 0.85 and not own):
                    id_ = rng.choice([*own, *shared])
                    tell("start", "replace", id_, number)
                    if store.replace(id_, tensors(number), loss_after=0.5):
                        tell("replace", id_, number)
                elif kind < 0.85:
                    store.used([rng.choice([*own, *shared])])
                else:
                    id_ = own.pop(rng.randrange(len(own)))
                    tell("start", "delete", id_)
                    store.delete([id_])
                    tell("delete", id_)
    except BaseException as error:
        tell("error", type(error).__name__, " ".join(str(error).split())[:300])
        raise


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else None)
