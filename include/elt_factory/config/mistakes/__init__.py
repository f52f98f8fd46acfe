"""What is wrong in a config, at its place in the file, with a hint; and what only shows across configs."""
