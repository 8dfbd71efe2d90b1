"""What the server serves: a page that shows why flags have their values."""
