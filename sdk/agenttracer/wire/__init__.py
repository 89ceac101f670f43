"""The wire contract, version 1: the messages between SDK, gateway and workers, and nothing else.

Everything may import this package; it imports only the standard library. Start at `events`, then `envelope`.
"""
