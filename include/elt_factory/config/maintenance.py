"""Where `_maintenance.yaml` is, and what it says."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from elt_factory.config.errors import ConfigError
from elt_factory.config.layers.defaults import require_mapping
from elt_factory.config.mistakes.problems import problems
from elt_factory.config.models.maintenance import MAINTENANCE_FILE, Maintenance
from elt_factory.config.yaml.source import read_yaml


def maintenance_files(folder: Path) -> list[Path]:
    """Return the file, where the folder has it: without it there is no maintenance DAG."""
    file = folder / MAINTENANCE_FILE
    return [file] if file.is_file() else []


def load_maintenance(file: Path) -> Maintenance:
    """Read it.

    Raises:
        ConfigError: everything that is wrong in it, each with its line and a hint.
    """
    source = read_yaml(file)
    require_mapping(source, 'expected a mapping, such as schedule: "0 4 * * *"')
    try:
        return Maintenance.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(problems(source, Maintenance, error.errors(include_url=False), {})) from None
