"""What is stored, in a terminal: runs, failures, statistics and comparisons from any query service."""
