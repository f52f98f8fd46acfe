"""A look at real records, and the config that they suggest."""
