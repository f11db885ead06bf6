"""Test-time optimization: the LightningModule and its short fit."""
