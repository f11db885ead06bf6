"""Metrics: pure functions from a case's facts and the judges' answers to scores. No model and no file is touched here.

A metric is registered in a module of this package (see `registry`), which is all that a new one needs.
"""
