"""From delivered records to stored rows: decode, gather, write, and where reading starts."""
