"""The workers' side of Kafka: how records are delivered, which offsets are done, which topic it is, how long it keeps records."""
