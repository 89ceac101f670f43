"""Routes of statistics by time and by name: parameters, JSON forms, and how they become questions to the store."""
