"""How well layouts are planned."""
