"""What every service process needs and nothing that one of them decides: the fast codec, logs, health pages, Kafka and SQL edges.

It may import the wire contract and third parties, never a service. Services import it, never each other.
"""
