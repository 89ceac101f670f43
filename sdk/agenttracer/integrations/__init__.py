"""Agents written with a framework, traced through the framework's own hooks: one module per framework, for its users to import.

Nothing is imported here, so that no framework is loaded unless its module is asked for.
"""
