"""From YAML files to configs: defaults and environments merged in, every mistake found and placed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.kinds import model_for, models_of_kinds
from elt_factory.config.layers.defaults import DEFAULTS_FILE, require_mapping, with_defaults
from elt_factory.config.layers.environments import KEY_OF_ENVIRONMENTS, in_environment
from elt_factory.config.mistakes.across import LoadedConfig, problems_across
from elt_factory.config.mistakes.cycles import cycles
from elt_factory.config.mistakes.problems import problems
from elt_factory.config.models.source import SOURCES, Config, Source
from elt_factory.config.versions import require_current
from elt_factory.config.yaml.source import YamlSource, parse_yaml, read_yaml
from elt_factory.core.project import project_root

__all__ = ["DEFAULTS_FILE", "Folder", "LoadedConfig", "config_files", "load_config", "load_folder", "load_text"]

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Folder:
    """All configs of a folder: those that are right, and the errors of those that are not, by file."""

    configs: tuple[LoadedConfig, ...]
    errors: Mapping[Path, ConfigError]


def load_config(file: Path, root: Path | None = None) -> LoadedConfig:
    """Read one config with its defaults, as the environment that is chosen has it.

    Args:
        file: The config.
        root: The folder of all configs, below which defaults are looked for; by default the nearest `dag_configs`
            above the file.

    Raises:
        ConfigError: everything that is wrong in the file, each with its line and a hint.
    """
    if file.suffix not in _SUFFIXES and file.suffix.casefold() in _SUFFIXES:
        raise ConfigError([_wrong_ending(file)])
    return _loaded(read_yaml(file), root)


def load_text(file: Path, text: str, root: Path) -> LoadedConfig:
    """Return a config as it would be if a file had this text.

    Raises:
        ConfigError: everything that would be wrong.
    """
    return _loaded(parse_yaml(file, text), root)


def _loaded(source: YamlSource, root: Path | None) -> LoadedConfig:
    file = source.file
    require_mapping(source, "expected a mapping at the top level, starting with `name:`")
    require_current(source)
    source = with_defaults(source, root)
    if KEY_OF_ENVIRONMENTS in source.data:
        config, source = in_environment(source, _validated)
    else:
        config = _validated(source)
    _require_files(config, source)
    return LoadedConfig(config, file, source)


def load_folder(folder: Path) -> Folder:
    """Read every config of a folder. One broken file costs only itself."""
    loaded: list[LoadedConfig] = []
    errors: dict[Path, ConfigError] = {}
    for file in config_files(folder):
        try:
            loaded.append(load_config(file, folder))
        except ConfigError as error:
            errors[file] = error
    found = {file: list(told) for file, told in problems_across(loaded, broken=list(errors)).items()}
    for item, problem in cycles(loaded):
        found.setdefault(item.file, []).append(problem)
    errors.update({file: ConfigError(told) for file, told in found.items()})
    return Folder(tuple(item for item in loaded if item.file not in errors), errors)


def config_files(folder: Path) -> list[Path]:
    """Return the config files of a folder and its subfolders, sorted; names that begin with _ or . are not configs."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=partial(_keep_closed, found)):
        folders[:] = [name for name in folders if name[0] not in "_."]
        # one that ends with .YAML is meant to be a config: it is found, and refused when it is read
        found += [Path(place, name) for name in names if name.casefold().endswith(_SUFFIXES) and name[0] not in "_."]
    return sorted(found, key=lambda file: file.parts)


def _wrong_ending(file: Path) -> Problem:
    meant = file.with_suffix(file.suffix.casefold()).name
    message = f"config files must end with .yaml or .yml, not {file.suffix}"
    return Problem(Position(file, 1, 1), "wrong-ending", message, f"rename the file to {meant}")


def _keep_closed(found: list[Path], error: OSError) -> None:
    """Report an unreadable folder like a broken config."""
    if isinstance(error, PermissionError):
        found.append(Path(error.filename))


def _require_files(config: Config, source: YamlSource) -> None:
    """Refuse a config that names a file of the project which is not there, or is not what it should be."""
    files = SOURCES.get(config.extract.type).files if isinstance(config, Source) else None
    if files is None:
        return
    wrong = [Problem(source.at(one.at), one.code, one.message, one.hint) for one in files(config, project_root())]
    if wrong:
        raise ConfigError(wrong)


def _validated(source: YamlSource) -> Config:
    model, known = model_for(source)
    try:
        config = model.model_validate(source.data)
    except ValidationError as error:
        told = {problem.position for problem in known}
        found = problems(source, model, error.errors(include_url=False), models_of_kinds())
        raise ConfigError([*known, *(problem for problem in found if problem.position not in told)]) from None
    return config
