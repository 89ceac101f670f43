"""See what your AI agents do in production, without storing what they read or wrote."""
