"""The warehouses: one interface, one module each, and pure functions that build their SQL."""
