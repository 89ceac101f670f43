"""Where records go: Kafka behind a Protocol, a producer with a deadline, and a watch over acknowledgements."""
