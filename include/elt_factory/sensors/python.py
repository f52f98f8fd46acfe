"""Wait until a function says so."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from elt_factory.config.errors import MistakeError, shown
from elt_factory.config.models.base import Model
from elt_factory.config.models.values import ParamName, Scalar
from elt_factory.core.failures import EltError, PermanentError
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind

_FUNCTION = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"


def _check_function(value: Any) -> Any:
    import re

    if isinstance(value, str) and not re.match(_FUNCTION, value):
        raise MistakeError(f"invalid function {shown(value)}", "write it like include.checks:is_ready")
    return value


Function = Annotated[str, BeforeValidator(_check_function), WithJsonSchema({"type": "string", "pattern": _FUNCTION})]


class FunctionReady(Model):
    """Wait until a function returns true."""

    plain_key: ClassVar[str] = "function"

    function: Function = Field(
        description=(
            "Function as module:function, in an installed package or below include/, for the triggerer imports it. It "
            "returns true or false, or that and a sentence. Of `source`, `window_start` and `window_end` it gets what "
            "it has parameters for."
        ),
        examples=["include.checks:is_ready"],
    )
    args: dict[ParamName, Scalar] = Field(
        {}, description="More arguments, by the names of its parameters.", examples=[{"market": "nyse"}]
    )


def _poke(spec: FunctionReady, look: Look) -> Verdict:
    name = look.config.name
    called = _found(spec, name)
    offered = {"source": name, "window_start": look.window.start, "window_end": look.window.end}
    try:
        taken = inspect.signature(called).parameters
        answer = called(**{key: value for key, value in offered.items() if key in taken}, **spec.args)
    except EltError:
        raise
    except Exception as error:
        raise EltError(f"{name}.python sensor: {spec.function} raised {type(error).__name__}: {error}") from error
    holds, said = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, "")  # noqa: PLR2004 - a pair
    if not isinstance(holds, bool) or not isinstance(said, str):
        expected = "it must return true or false, or that and a sentence"
        raise PermanentError(f"{name}.python sensor: {spec.function} returned {answer!r}; {expected}")
    return Verdict(holds, f"{name}: {said or f'{spec.function} returned {holds}'}")


def _found(spec: FunctionReady, name: str) -> Callable[..., Any]:
    module, _, function = spec.function.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        hint = "it must be importable on workers and in the triggerer, which do not see dags/"
        raise PermanentError(f"{name}.python sensor: cannot import {spec.function}: {error}; hint: {hint}") from error
    if not callable(found):
        raise PermanentError(f"{name}.python sensor: {spec.function} is not a function")
    called: Callable[..., Any] = found
    return called


def _words(spec: FunctionReady) -> str:
    return f"{spec.function} returns true"


def _about(spec: FunctionReady) -> str:
    return spec.function.partition(":")[2]


KIND = SensorKind(
    name="python",
    model=FunctionReady,
    description="Wait until a function returns true.",
    examples=({"function": "include.checks:is_ready"},),
    poke=_poke,
    words=_words,
    about=_about,
)
