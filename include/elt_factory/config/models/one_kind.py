"""Mappings with one key that names a kind, next to keys that all kinds share: sensors and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

from pydantic import (
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.core.kinds import Door, KindError

BROKEN_KIND = "fix or remove the package that provides it"
KINDS_OF = "x-kinds-of"  # in a JSON Schema: the door whose kinds the mapping may have


class Written(Protocol):
    """What the language has to know of a kind.

    Args:
        name: The key in the YAML.
        model: The type of what appears under the key.
        description: What it is, in one sentence.
        examples: What may appear under the key.
    """

    name: str
    model: Any
    description: str
    examples: tuple[Any, ...]


class OneKind(Model):
    """A mapping with one key that names its kind. A subclass has the keys that all kinds share as its fields."""

    door: ClassVar[Door[Any]]
    called: ClassVar[str]

    kind: str
    spec: Any

    @classmethod
    def shared(cls) -> Mapping[str, FieldInfo]:
        """Return the fields that all kinds share."""
        return {name: field for name, field in cls.model_fields.items() if name not in OneKind.model_fields}

    @classmethod
    def keys(cls) -> Mapping[str, FieldInfo]:
        """Return the fields by the names they have in a file: one of each kind, and those that all kinds share."""
        return {**{kind.name: _field(kind) for kind in cls.door.all()}, **cls.shared()}

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        shared = {key: value for key, value in data.items() if key in cls.shared()}
        given = {key: value for key, value in data.items() if key not in shared}
        unknown = [_unknown(key, value) for key, value in given.items() if key not in cls.door]
        named = [key for key, value in given.items() if key in cls.door and value is not None]
        if not unknown:
            cls._require_one(named)
        errors, spec = [*unknown], None
        for key in named[:1]:
            try:
                spec = _read(cls.door, key).validate_python(given[key])
            except ValidationError as error:
                errors += below(error, key)
        try:
            # what follows from the keys that are shared is found in the same pass
            made = handler({"kind": named[0] if named else "", "spec": spec, **shared})
        except ValidationError as error:
            errors += below(error)
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return made

    @classmethod
    def _require_one(cls, named: list[str]) -> None:
        what, known = cls.called, ", ".join(cls.door.names())
        if not named:
            raise MistakeError(f"a {what} needs one of {known}", "add one, or remove the entry", code="incomplete")
        if len(named) > 1:
            message = f"a {what} takes exactly one kind; got {' and '.join(named)}"
            raise MistakeError(message, "write a list entry for each", at=(named[-1], KEY), code="conflict")

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole = handler(self)
        return {self.kind: whole["spec"], **{name: whole[name] for name in self.shared() if name in whole}}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Leave out the kinds: the schema of each is filled in where all of them are known."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        schema["properties"] = {key: below for key, below in schema["properties"].items() if key in cls.shared()}
        schema[KINDS_OF] = cls.door.group
        schema.pop("required", None)
        return reference


def _field(kind: Written) -> FieldInfo:
    return FieldInfo(annotation=kind.model, default=None, description=kind.description, examples=list(kind.examples))


def _read(door: Door[Any], name: str) -> TypeAdapter[Any]:
    try:
        return _reader(door, name)
    except KindError as error:
        raise MistakeError(str(error), BROKEN_KIND, at=(name, KEY), code="broken-kind") from None


_readers: dict[int, tuple[Written, TypeAdapter[Any]]] = {}  # by the id of a kind, which is kept with it


def _reader(door: Door[Any], name: str) -> TypeAdapter[Any]:
    kind: Written = door.get(name)
    if id(kind) not in _readers:
        _readers[id(kind)] = (kind, TypeAdapter(kind.model))
    return _readers[id(kind)][1]


def _unknown(key: str, value: Any) -> InitErrorDetails:
    return InitErrorDetails(type="extra_forbidden", loc=(key,), input=value)


def below(error: ValidationError, *above: str) -> Iterator[InitErrorDetails]:
    """Yield what is wrong below a key, as errors of the mapping that has the key."""
    for detail in error.errors(include_url=False):
        yield InitErrorDetails(
            type=detail["type"], loc=(*above, *detail["loc"]), input=detail["input"], ctx=_context(detail)
        )


def _context(detail: ErrorDetails) -> dict[str, Any]:
    return detail.get("ctx", {})
