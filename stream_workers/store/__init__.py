"""The workers' store: its Protocol, PostgreSQL behind it, and the rows that go in and come out."""
