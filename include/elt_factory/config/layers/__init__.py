"""What a config takes from elsewhere: `_defaults.yaml` and the overrides of an environment."""
