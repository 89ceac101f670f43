"""Kafka in, Postgres out: assembles ordered runs, classifies failures, and upserts both with the offsets they cover."""
