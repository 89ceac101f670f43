"""One process, or several on a port: start, drain, health pages of each."""
