"""`python -m ttom` and the command `ttom`.

Nothing is imported before an interrupt can be caught: the imports take a second, in which Ctrl-C shall show no
traceback.
"""


def main() -> int:
    """Run the command line with the process's own arguments; returns the exit code."""
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
