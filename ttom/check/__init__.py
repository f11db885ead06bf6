"""Whether a video follows its plan: objects present, their number, where they are, and how they move.

A detector finds the nouns of the plan in the frames; boxes that it finds are matched to those that were planned. It
tells objects apart by noun and place alone, not by color: of a red and a blue ball the nearer one counts.
"""
