"""The services as processes of this machine: which run, where they answer, and how they are started and ended."""
