"""What a span says beside its attributes' own values: digests of what must not be kept, ends, returned errors."""
