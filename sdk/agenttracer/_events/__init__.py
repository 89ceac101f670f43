"""Events before they are sent: pending on the agent's thread, sanitized and encoded on the sender's."""
