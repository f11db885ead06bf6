"""Suites: a file that yields cases."""
