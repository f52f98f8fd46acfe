"""Configurations of dlt's REST API source as configs."""
