"""Singer: taps as sources."""
