"""Runs as they start and finish: one look at the store for all readers of a project, and a bounded queue for each."""
