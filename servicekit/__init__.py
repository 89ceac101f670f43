"""The parts that every service needs, without decisions of a single one: the fast codec, logs, health pages, Kafka and SQL edges.

It may import the wire contract and third parties, never a service. Services import it, never each other.
"""
