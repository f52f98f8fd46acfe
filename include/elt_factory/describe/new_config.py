"""A config written from what a source holds: for `elt new` and for the form of the Sources page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.failures import BadRequestError

if TYPE_CHECKING:
    from elt_factory.discover.found import SourceFound
    from elt_factory.sources.kind import Wish


def look(wish: Wish, scratch: Path) -> SourceFound:
    """Return what is behind a connection.

    Raises:
        EltError: no kind of source can look at its type, or what is there cannot be read.
    """
    from elt_factory.config.models.source import SOURCES

    able = [kind for kind in SOURCES.all() if kind.discover]
    kinds = (kind for asked in (wish.connection.conn_type, "*") for kind in able if asked in kind.connection_types)
    kind = next(kinds, None)
    if kind is None:
        raise BadRequestError(f"no kind of source can look at a connection of type {wish.connection.conn_type}")
    found: SourceFound = kind.discover(wish, scratch)
    return found


def look_at_url(name: str, url: str, scratch: Path) -> SourceFound:
    """Return what a JSON API answers at a URL that needs no credentials.

    Raises:
        EltError: it holds a secret, cannot be reached or answers no list of records.
    """
    from elt_factory.core.connection import Connection
    from elt_factory.sources.rest_api.address import address_of
    from elt_factory.sources.rest_api.discovery import Endpoint, look_at_api

    address = address_of(url)
    made = Connection(f"{name}_api", "http", host=address.host)
    found = look_at_api(Endpoint(made, name, address.path, address.params), scratch)
    add = f"airflow connections add {made.conn_id} --conn-type http --conn-host '{address.host}'"
    return replace(found, todo=[f"{add}    # with a secret: --conn-password '<secret>'"])


def written(name: str, found: SourceFound, target: Path, root: Path) -> tuple[str, SourceFound]:
    """Return the text of a config, once it is known to be a valid one, and what it has of what was found.

    Args:
        name: The config's name.
        found: What the source holds.
        target: Its file.
        root: The folder of the configs.

    Raises:
        ConfigError: it would be invalid.
    """
    from elt_factory.config.layers.defaults import defaults_of
    from elt_factory.discover.writing import yaml_of

    defaults = defaults_of(target.parent, root)
    given = defaults.data if defaults else {}
    schema = _way_to(root, target)
    found = _without_odd_tables(
        found, lambda some: _require_valid(target, yaml_of(name, some, given, schema=schema), root)
    )
    text = yaml_of(name, found, given, schema=schema)
    _require_valid(target, text, root)
    return text, found


def _require_valid(target: Path, text: str, root: Path) -> None:
    """Refuse an invalid config; what a variable of the defaults decides is not judged where variables are not read.

    Raises:
        ConfigError: it is invalid.
    """
    from elt_factory.config.errors import ConfigError
    from elt_factory.config.layers.defaults import defaults_of
    from elt_factory.config.loading import load_text
    from elt_factory.config.yaml.variables import variables_are_unread
    from elt_factory.describe.unread import variable_lines

    try:
        load_text(target, text, root)
    except ConfigError as error:
        defaults = defaults_of(target.parent, root) if variables_are_unread() else None
        unread = set(variable_lines(defaults)) if defaults else set()
        certain = [one for one in error.problems if (one.position.file, one.position.line) not in unread]
        if certain:
            raise ConfigError(certain) from None


def _without_odd_tables(found: SourceFound, check: Callable[[SourceFound], object]) -> SourceFound:
    """Return what was found without the tables that would make the config invalid; all of it where none is left."""
    from elt_factory.config.errors import ConfigError
    from elt_factory.discover.found import SkippedTable, TableFound

    try:
        check(found)
    except ConfigError:
        good, odd = list[TableFound](), list[SkippedTable]()
        for table in found.tables:
            try:
                check(replace(found, tables=[table]))
                good.append(table)
            except ConfigError as error:
                odd.append(SkippedTable(table.name, error.problems[0].message))
        return replace(found, tables=good, skipped=[*found.skipped, *odd]) if good else found
    return found


def _way_to(root: Path, target: Path) -> str:
    """Return the JSON Schema as the editor finds it from the file."""
    return "../" * (len(target.relative_to(root).parts) - 1) + "source.schema.json"
