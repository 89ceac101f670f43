"""Postgres in, JSON out: what the runs of agents did, as HTTP answers. It reads the store and never writes to it."""
