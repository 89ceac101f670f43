"""The limits of one request: rates, bytes, inflated bytes, values, time."""
