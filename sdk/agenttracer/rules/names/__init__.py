"""What may be a name, and what must not pass for one: the form of names, and detectors of what identifies people or opens doors.

`agenttracer.rules.names.fit` is the way in. It is loaded where a name is looked at first, since compiling patterns takes time.
"""
