"""What a YAML file may say: models, loading with positions, errors. Imports nothing of ELT Factory."""
