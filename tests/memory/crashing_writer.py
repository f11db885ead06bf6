"""Run as a script: fork writers on one memory, kill each with SIGKILL at a random moment, log what was acknowledged.

Usage: crashing_writer.py FOLDER LOG KILLS SEED. Imports neither torch nor pytest, so that a fork takes a moment.
The log has a line for each event: "start OPERATION ID" before an operation on an entry, "insert ID SHA256",
"replace ID SHA256" and "delete ID" after it returned.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import time

import numpy as np

from ttom.memory.store import Store


def write_for_ever(folder: str, log: int, rng: random.Random) -> None:
    store, own = Store(folder), []

    def tell(*words: object) -> None:
        os.write(log, (" ".join(map(str, words)) + "\n").encode())

    while True:
        data = rng.randbytes(rng.choice((100, 20_000, 300_000)))
        sha256 = hashlib.sha256(data).hexdigest()
        kind = rng.random()
        if kind < 0.6 or not own:
            vector = np.full(4, 0.5, np.float32)
            id_ = store.insert(data, key="k", prompt="p", embedding=vector, signature="s")
            own.append(id_)
            tell("insert", id_, sha256)
        elif kind < 0.8:
            id_ = rng.choice(own)
            tell("start", "replace", id_)
            store.replace(id_, data, loss_after=0.5)
            tell("replace", id_, sha256)
        else:
            id_ = own.pop(rng.randrange(len(own)))
            tell("start", "delete", id_)
            store.delete([id_])
            tell("delete", id_)


def main() -> None:
    folder, log_file, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(kills):
        child = os.fork()
        if child == 0:
            try:
                write_for_ever(folder, log, random.Random(seed * 10_000 + number))
            except BaseException as error:
                os.write(log, f"error {type(error).__name__} {error}\n".encode())
            os._exit(1)
        time.sleep(rng.uniform(0.005, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
