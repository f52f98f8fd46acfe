"""Formats of files: a module each, with its keys in YAML, how it is read, and how `elt new` finds it."""
