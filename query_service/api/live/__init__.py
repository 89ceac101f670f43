"""Routes whose answers go on: server-sent events."""
