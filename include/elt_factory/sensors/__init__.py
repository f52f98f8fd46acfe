"""Sensors: a module per kind, with its language, its look and its words."""
