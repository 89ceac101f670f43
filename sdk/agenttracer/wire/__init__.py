"""The wire contract, version 1: what SDK, gateway and workers may say to each other, and nothing else.

Everything may import this package; it imports only the standard library. Start at `events`, then `envelope`.
"""
