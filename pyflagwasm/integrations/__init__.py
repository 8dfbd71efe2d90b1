"""pyflagwasm in frameworks of others: a module for each, which imports its framework; this package imports none."""
