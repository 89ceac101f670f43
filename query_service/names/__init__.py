"""Names in place of the pseudonyms that stand for them: the registry of a project as answers are read by it."""
