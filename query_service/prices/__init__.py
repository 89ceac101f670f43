"""What models cost: a table with a version, which ships and can be replaced, and sums priced by it."""
