"""The rules planner: English about motion, relations and counts, read without a model."""
