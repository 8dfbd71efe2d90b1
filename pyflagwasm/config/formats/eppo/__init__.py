"""Universal flag configurations: Eppo's, and Datadog's dialect. `importer.load` is where to start."""
