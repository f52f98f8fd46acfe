"""What can be told of configs without running them: pure functions from configs to data, text and pictures."""
