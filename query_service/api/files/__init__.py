"""Runs as files for other programs: tables, lines of JSON, and traces."""
