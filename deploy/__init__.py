"""Runs the parts together: the local stack, the service processes, topics, and the `agenttracer` command."""
