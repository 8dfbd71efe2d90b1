"""flagd's flag definitions, and JsonLogic. `importer.load` is where to start."""
