"""The benchmark harness: suites of cases, replay into videos, judges, metrics, scores and reports.

Making and judging are separate programs. `eval.replay` makes videos once; `eval.judge` asks the judges and keeps their
answers; `eval.score` turns answers into scores without a GPU; `eval.report` compares runs.
"""
