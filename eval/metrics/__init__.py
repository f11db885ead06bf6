"""Metrics: pure functions from facts and judges' answers to scores."""
