"""Tables, statistics and the page that compares runs: ``python -m eval.report RUN... --out DIR``."""
