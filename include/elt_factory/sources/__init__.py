"""Kinds of source: what is known of each, and the one way to read them."""
