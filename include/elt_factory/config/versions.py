"""The language version of a file: `version: 1`, which is also the default.

The number increases only when existing files would no longer load, or would change their meaning; new keys
need no new version. A file in an older version is an error. `elt upgrade` fixes it: it rewrites configs and
`_defaults.yaml`, all or none, and keeps comments and layout; `--dry-run` only shows the changes. A
file in an unknown version is refused. To move to a new version: install it, run `elt upgrade`, review
`git diff`, `elt validate` and `elt diff`, and commit.
"""

from __future__ import annotations

from elt_factory.config.errors import ConfigError, Problem, shown
from elt_factory.config.yaml.source import YamlSource

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
