"""Why something failed: evidence in, a type and a code out. See `rules` for the table, `classify` for the way through it."""
