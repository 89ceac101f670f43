"""The gateway's own routes, what they answer, and their OpenAPI document."""
