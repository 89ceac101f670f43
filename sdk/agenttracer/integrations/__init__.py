"""Agents written with a framework, traced through the framework's own hooks: one module a framework, imported by whoever uses it.

Nothing is imported here, so that no framework is loaded unless its module is asked for.
"""
