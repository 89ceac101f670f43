"""The gateway: HTTP in, Kafka out. It answers 202 only for what is durable, and lets nothing through but the wire contract.

It knows no store and no worker; it meets them at the topic. Start at `app`.
"""
