"""Judges answer questions about videos; their answers are kept as files."""
