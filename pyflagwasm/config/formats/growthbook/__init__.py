"""GrowthBook's payloads. `importer.load` is where to start."""
