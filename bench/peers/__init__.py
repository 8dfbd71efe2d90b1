"""Other ways to evaluate the same flag, and a run of all that are installed, each in its own environment and process.

What a peer is, is in offer.py; how one is verified and timed in worker.py; environments are made by install.py.
"""
