"""From what a client sent to records: read, checked, bounded, grouped, published."""
