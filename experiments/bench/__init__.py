"""How fast and how large: measurements with result files."""
