"""Using what TTOM makes in other software."""
