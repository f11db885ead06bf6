"""EmojiWorld: a synthetic world of emoji sprites, and the training of the embedded checkpoint on it."""
