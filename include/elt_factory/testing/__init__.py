"""Conformance suites: what every kind of source, check and warehouse must do, also those of other packages.

A suite is a class of pytest tests. Subclass it under a name that begins with `Test`, and say what is tested.
"""
