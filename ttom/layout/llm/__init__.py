"""The LLM planner: a language model behind any OpenAI-compatible endpoint plans the layout."""
