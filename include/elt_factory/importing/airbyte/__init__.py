"""Connections of Airbyte as configs, out of what its tools write of them."""
