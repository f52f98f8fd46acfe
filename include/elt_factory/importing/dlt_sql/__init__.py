"""dlt's source of databases, as configs of databases that ELT Factory reads itself."""
