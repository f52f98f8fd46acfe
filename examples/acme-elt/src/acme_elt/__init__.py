"""Kinds of a source, a format of files, a check and a notifier for ELT Factory."""
