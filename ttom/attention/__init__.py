"""Object maps read from the attention of chosen blocks."""
