"""Administration of Kafka and PostgreSQL: schema, topics, projects, API keys."""
