"""The version of the language that a file is written in: `version: 1`, which is also meant where nothing is said.

The number goes up only when files that load today would not load any more, or would mean something else; new keys
need no new version. A file in an older version is an error whose fix is `elt upgrade`: it rewrites configs and
`_defaults.yaml`, all or none, and keeps comments and layout; `--dry-run` shows the difference and writes nothing. A
file in a version that is not known is refused. So the way to a new version is: install it, `elt upgrade`, look at
`git diff`, `elt validate` and `elt diff`, and commit.
"""

from __future__ import annotations

from elt_factory.config.errors import ConfigError, Problem, shown
from elt_factory.config.yaml_source import YamlSource

KEY_OF_VERSION = "version"
CURRENT = 1


def require_current(source: YamlSource) -> None:
    """Refuse a file in another version of the language: the meaning of its keys is unknown.

    Raises:
        ConfigError: the version is another, or no number.
    """
    version = source.data.get(KEY_OF_VERSION, CURRENT)
    if type(version) is int and version == CURRENT:
        return
    message = f"{KEY_OF_VERSION}: unknown language version {shown(version)}"
    raise ConfigError([Problem(source.at((KEY_OF_VERSION,)), "unknown-value", message, _hint(version))])


def _hint(version: object) -> str:
    if type(version) is not int or version < 1:
        return f"write {KEY_OF_VERSION}: {CURRENT}"
    if version < CURRENT:
        return "run elt upgrade, which rewrites the file and keeps its comments"
    return f"upgrade elt-factory, or write {KEY_OF_VERSION}: {CURRENT}"
