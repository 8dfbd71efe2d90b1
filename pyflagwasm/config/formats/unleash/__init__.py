"""Unleash's client features. `importer.load` is where to start."""
