"""Connectors of others, each a process in an environment of its own: what Singer taps and Airbyte sources share."""
