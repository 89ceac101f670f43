"""Runs, steps and failures as an agent's code sees them. Nothing here queues or sends."""
