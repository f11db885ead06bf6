"""Layouts: where the objects are, who plans that, and what it looks like."""
