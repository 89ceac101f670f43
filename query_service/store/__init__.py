"""The store as routes see it: its Protocol, PostgreSQL behind it, rows, and each project's share of it."""
