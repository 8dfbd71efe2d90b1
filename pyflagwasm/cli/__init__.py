"""The command line. `program` runs it; each command has a module."""

from .program import main

__all__ = ["main"]
