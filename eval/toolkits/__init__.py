"""The official toolkits, run unchanged in environments of their own, and their results imported.

T2V-CompBench is a repository that the user clones and names; VBench is a package of PyPI. Neither is imported here.
They see folders of links to a run's videos, so that nothing of theirs is written into the run's own folders. Only what
they report counts as an official score.
"""
