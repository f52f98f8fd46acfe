"""The extras that configs need by what they say, and that are not installed."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.config.errors import Problem
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.source import SOURCES, TransformOnly
from elt_factory.core.extras import MissingExtraError, missing
from elt_factory.sources.kind import SourceKind


def missing_extras(item: LoadedConfig) -> Iterator[Problem]:
    """Yield what a config needs and this machine does not have, each at its place."""
    if isinstance(item.config, TransformOnly):
        return
    kind: SourceKind = SOURCES.get(item.config.extract.type)
    for path, user, extra in kind.needs(item.config):
        if module := missing(extra):
            error = MissingExtraError(user, extra, module)
            yield Problem(item.source.at(path), "missing-extra", error.message, error.hint)
