"""What errors look like in texts, and which word of the taxonomy each gets. `error_reader` is the way in."""
