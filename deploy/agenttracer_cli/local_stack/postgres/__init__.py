"""PostgreSQL as a process of this machine."""
