"""API keys: their form, where they lie, how a service knows them, and what its document says of them."""
