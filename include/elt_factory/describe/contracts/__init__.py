"""Data contracts of the Open Data Contract Standard, version 3: a config as one, and one as a config."""
