"""Training, benchmarks, ablations and their log; not part of the package."""
