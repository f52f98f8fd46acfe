"""Airbyte: connectors with Python code as sources."""
