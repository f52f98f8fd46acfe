"""The systems: each module says how one starts, shows and cancels its jobs."""
