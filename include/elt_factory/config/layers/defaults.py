"""Settings shared by the configs of a folder: `_defaults.yaml`, in the config's folder and those above it.

- The nearest wins: a folder's defaults override those of the folder above, and the config overrides all.
- Mappings are merged key by key, at every depth. Everything else is replaced: text, numbers, whole lists.
- `null` removes a default: the language's own default applies again.
- Folders are searched up to the folder of configs: the given one, else the nearest named `dag_configs`, else
  the file's own folder.
- `name`, `extract` and `tables` belong in a config. Each file has its own `version`. Environments may be defaults: they
  are merged like the rest, and applied to the config afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.versions import KEY_OF_VERSION, require_current
from elt_factory.config.yaml.source import YamlSource, read_yaml_again

DEFAULTS_FILE = "_defaults.yaml"
CONFIG_FOLDER = "dag_configs"
_NOT_DEFAULTS = ("name", "extract", "tables")


def with_defaults(source: YamlSource, root: Path | None) -> YamlSource:
    """Return a config's data over the defaults that hold for it.

    Raises:
        ConfigError: a file of defaults cannot be read, or says what only a config may say.
    """
    merged = defaults_of(source.file.parent, root)
    return source.over(merged) if merged else source


def defaults_of(folder: Path, root: Path | None) -> YamlSource | None:
    """Return the defaults that hold for the configs of a folder; None where there are none.

    Raises:
        ConfigError: as `with_defaults`.
    """
    merged: YamlSource | None = None
    for file in _places(folder, root):
        # a link that leads nowhere is reported, and not passed over
        if file.exists() or file.is_symlink():
            layer = _defaults(file)
            if layer is not None:
                merged = layer.over(merged) if merged else layer
    return merged


def require_mapping(source: YamlSource, message: str) -> None:
    """Refuse a file that is not a mapping.

    Raises:
        ConfigError: it is empty, or something else.
    """
    if source.data is None:
        message = f"empty file: {message}"
        raise ConfigError(
            [Problem(Position(source.file, 1, 1), "empty", message, "write the config, or delete the file")]
        )
    if not isinstance(source.data, dict):
        raise ConfigError([Problem(source.at(()), "wrong-type", message, 'write "key: value" lines')])


@lru_cache(maxsize=1024)
def _places(folder: Path, root: Path | None) -> tuple[Path, ...]:
    """Where defaults for a folder may be, the farthest first."""
    way = [folder, *folder.absolute().parents]
    top = folder if root is None else root
    if root is None:
        top = next((above for above in way if above.absolute().name == CONFIG_FOLDER), folder)
    ends = [index for index, above in enumerate(way) if above.absolute() == top.absolute()]
    return tuple(above / DEFAULTS_FILE for above in reversed(way[: (ends or [0])[0] + 1]))


def _defaults(file: Path) -> YamlSource | None:
    source = read_yaml_again(file)
    if source.data is None:
        return None
    require_mapping(source, "expected a mapping at the top level, as in a config")
    require_current(source)
    misplaced = list(_misplaced(source))
    if misplaced:
        raise ConfigError(misplaced)
    return source.without(KEY_OF_VERSION) if KEY_OF_VERSION in source.data else source


def _misplaced(source: YamlSource) -> Iterator[Problem]:
    for key in _NOT_DEFAULTS:
        if key in source.data:
            message = f'"{key}" is not allowed in the defaults'
            yield Problem(source.at_key((key,)), "not-a-default", message, "move it to the configs that need it")
