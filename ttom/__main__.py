"""`python -m ttom` and the command `ttom`.

Nothing is imported before an interrupt can be caught: the imports take a second, in which Ctrl-C must show no
traceback.
"""

import os

PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""Threads of torch that wait for one another sleep in place of spinning, whichever OpenMP runtime it brings.

Spinning threads that share their cores with other work hold one another up: two threads beside two busy processes took
70 s for what takes 6 s with passive waiting and 3 s on idle cores (experiments/bench/threads.py).
"""


def main() -> int:
    """Run the command line with the process's own arguments; returns the exit code."""
    if not any(name in os.environ for name in PASSIVE_WAITING):  # read when torch is imported
        os.environ.update(PASSIVE_WAITING)
    try:
        from ttom.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):  # numpy reports it as a failed import
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
