"""What every layer may know."""
