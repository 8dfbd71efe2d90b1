"""DevCycle's project configurations. `importer.load` is where to start."""
