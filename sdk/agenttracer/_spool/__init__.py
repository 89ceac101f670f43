"""Events on disk, from when the sender takes them until the gateway has accepted them. Loaded only with `spool_dir`."""
