"""Pages and dumps that are written from the code, and held to it by tests."""
