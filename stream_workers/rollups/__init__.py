"""Statistics: deltas that writers append are compacted to totals, which readers add up. Reading is the query service's."""
