"""How a date or time is written that is not in ISO 8601."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from elt_factory.config.errors import MistakeError, shown
from elt_factory.config.models.directives import DIRECTIVES, check_pattern
from elt_factory.config.models.values import Text

EPOCHS = ("epoch", "epoch_ms")


def _check(value: str) -> str:
    if value in EPOCHS:
        return value
    if "%" not in value:
        raise MistakeError(f"unknown format {shown(value)}", f"write {' or '.join(EPOCHS)}, or a pattern like %d/%m/%Y")
    return check_pattern(value)


_ONE = f"%[{DIRECTIVES}]"
_WRITTEN = rf"^({'|'.join(EPOCHS)}|([^%]|{_ONE})*%[{DIRECTIVES.rstrip('%')}]([^%]|{_ONE})*)$"
TimeFormat = Annotated[Text, AfterValidator(_check), WithJsonSchema({"type": "string", "pattern": _WRITTEN})]
