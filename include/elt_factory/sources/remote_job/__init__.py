"""Jobs of other systems, and tables that they load."""
