"""Faults against the memory: what is killed, damaged, filled, poisoned or raced, and what it costs."""
