"""The `elt` command."""
