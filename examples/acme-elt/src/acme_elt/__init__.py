"""Kinds of a source, a check and a notifier for ELT Factory."""
