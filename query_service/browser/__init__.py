"""What the query service does for browsers: it serves the built pages, and signs people in."""
