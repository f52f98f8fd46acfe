"""What can be said about configs without running them: pure functions from configs to data, text and pictures."""
