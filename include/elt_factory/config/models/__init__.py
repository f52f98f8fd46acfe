"""What a YAML file may say: a model per thing, and the rules of what cannot be true together."""
