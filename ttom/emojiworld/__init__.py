"""EmojiWorld, the embedded synthetic world: its nouns, scenes, captions, prompts with facts, renderer and detector."""
