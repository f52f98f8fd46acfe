"""Notifiers: a module per kind of channel."""
