"""Mappings whose `type` names a kind that comes in by a door: formats of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.one_kind import BROKEN_KIND, below
from elt_factory.core.kinds import Door, KindError

ModelType = type[Model]  # where `type` is a key


class ByType(Model):
    """What the kinds of one door have in common. It stands for all of them where it is the type of a field."""

    door: ClassVar[Door[Any]]

    type: str

    @classmethod
    def is_open(cls) -> bool:
        """Whether this is what all kinds have in common, and not the model of one."""
        return "door" in cls.__dict__

    @classmethod
    def models(cls) -> Mapping[str, ModelType]:
        """Return the model of each kind; those that cannot be imported are left out."""
        found: dict[str, ModelType] = {}
        for name in cls.door.names():
            with suppress(KindError):
                found[name] = cls.door.get(name).model
        return found

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read what stands for all kinds by the model of the kind that its `type` names."""
        if not cls.is_open():
            return handler(source)
        return core_schema.no_info_plain_validator_function(cls._read)

    @classmethod
    def _read(cls, data: Any) -> Self:
        if isinstance(data, cls):
            return data
        tag = data.get("type") if isinstance(data, Mapping) else None
        known = isinstance(tag, str) and tag in cls.door
        try:
            if not known:
                raise _refused(cls, data)
            found: Self = cls.door.get(str(tag)).model.model_validate(data)
        except KindError as error:
            raise MistakeError(str(error), BROKEN_KIND, at=("type", KEY), code="broken-kind") from None
        except ValidationError as error:
            details = [*below(error, *([str(tag)] if known else []))]
            raise ValidationError.from_exception_data(cls.__name__, details) from None
        return found

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the choice among the kinds, where this stands for all of them."""
        if not cls.is_open():
            return handler(core)
        kinds: dict[Any, CoreSchema] = {name: model.__pydantic_core_schema__ for name, model in cls.models().items()}
        return handler(core_schema.tagged_union_schema(kinds, discriminator="type"))


def _refused(kinds: type[ByType], data: Any) -> ValidationError:
    """Return the error of what names no kind, as pydantic has it for unions of models."""
    kind, context = "model_type", dict[str, Any](class_name=kinds.__name__)
    if isinstance(data, Mapping):
        tag, names = data.get("type"), ", ".join(kinds.door.names())
        context = {"discriminator": "'type'", "tag": str(tag), "expected_tags": names}
        kind = "union_tag_invalid" if "type" in data else "union_tag_not_found"
    error = InitErrorDetails(type=kind, loc=(), input=data, ctx=context)
    return ValidationError.from_exception_data(kinds.__name__, [error])


def opened(option: Any) -> tuple[Any, ...]:
    """Return the models of all kinds in place of what they have in common; anything else as it is."""
    is_open = isinstance(option, type) and issubclass(option, ByType) and option.is_open()
    return tuple(option.models().values()) if is_open else (option,)


def open_fields(model: type[Model]) -> Iterator[tuple[str, type[ByType]]]:
    """Yield the fields of a model that any kind of a door may fill, by their names in a file."""
    for name, field in model.keys().items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, ByType) and kind.is_open():
            yield name, kind
