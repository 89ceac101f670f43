"""Whether a worker makes progress, and what happens when it does not."""
