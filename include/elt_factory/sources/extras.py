"""The extras that configs need by what they say, and that are not installed."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.config.errors import Problem
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.formats import FORMATS
from elt_factory.config.models.source import SOURCES, Config, TransformOnly
from elt_factory.core.extras import MissingExtraError, missing
from elt_factory.sources.kind import Need, SourceKind


def missing_extras(item: LoadedConfig) -> Iterator[Problem]:
    """Yield what a config needs and this machine does not have, each at its place."""
    if isinstance(item.config, TransformOnly):
        return
    kind: SourceKind = SOURCES.get(item.config.extract.type)
    for path, user, extra in (*kind.needs(item.config), *_of_formats(item.config)):
        if module := missing(extra):
            error = MissingExtraError(user, extra, module)
            yield Problem(item.source.at(path), "missing-extra", error.message, error.hint)


def _of_formats(config: Config) -> Iterator[Need]:
    """Yield what the formats of tables need, of files and of responses."""
    for name, table in config.all_tables.items():
        form = getattr(table, "format", None)
        if form is not None and (extra := FORMATS.get(form.type).extra):
            yield ("tables", name, "format", "type"), f"format.type {form.type}", extra
