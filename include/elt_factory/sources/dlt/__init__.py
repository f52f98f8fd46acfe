"""dlt: its sources, run in an environment of their own."""
