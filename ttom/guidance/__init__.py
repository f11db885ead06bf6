"""How a layout acts on a run: one file or package for each method."""
