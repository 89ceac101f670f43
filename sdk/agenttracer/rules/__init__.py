"""Pure rules that SDK, gateway and workers share. They need only the standard library and the wire contract."""
