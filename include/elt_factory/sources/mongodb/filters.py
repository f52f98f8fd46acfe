"""The filter of a table: templates become values, extended JSON the types of MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator

from elt_factory.config.errors import MistakeError, raise_found
from elt_factory.config.models.table import Path
from elt_factory.config.models.templates import Typed, Values, check_template, render, typed, uses


def texts_in(value: Any, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text of a filter, with its path."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in below:
        yield from texts_in(inner, (*at, key))
    if isinstance(value, str):
        yield at, value


def _check(value: dict[str, Any]) -> dict[str, Any]:
    raise_found([*_mistakes(value)])
    return value


def _mistakes(value: dict[str, Any]) -> Iterator[MistakeError]:
    for at, text in texts_in(value):
        try:
            check_template(text)
        except MistakeError as error:
            yield MistakeError(error.message, error.hint, at=(*at, *error.at), code=error.code)


Filter = Annotated[dict[str, Any], AfterValidator(_check)]


def filled(value: Any, values: Values, zone: str) -> Any:
    """Return a filter as MongoDB takes it. A text that is one template is the value itself: a time is a date.

    Raises:
        ValueError: what is written as extended JSON is not.
    """
    from bson import json_util

    if isinstance(value, dict):
        return json_util.object_hook({name: filled(inner, values, zone) for name, inner in value.items()})
    if isinstance(value, list):
        return [filled(inner, values, zone) for inner in value]
    return _kept(_rendered(value, values, zone) if isinstance(value, str) else value)


def _rendered(text: str, values: Values, zone: str) -> Typed:
    found = list(uses(text))
    alone = len(found) == 1 and text.strip().startswith("{{") and text.strip().endswith("}}")
    value = typed(found[0], values, zone) if alone else render(text, values, zone)
    # the filter `date` is for what is kept as a text
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


def _kept(value: Any) -> Any:
    """Return a value as MongoDB keeps it: it has no dates without a time, and decimals of its own."""
    from bson import Decimal128

    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value
