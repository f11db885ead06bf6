"""`ttom studio`: plan, draw, generate and compare in a browser.

A small ASGI application over the same Python API as the command line's. The server keeps nothing but the run folder;
one job at a time runs in a worker thread, and others wait in a queue.
"""
