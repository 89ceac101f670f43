"""What owners of projects said about names: which are allowed, and whether nothing else may pass (a closed project)."""
