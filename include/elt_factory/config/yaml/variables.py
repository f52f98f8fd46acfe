"""`${NAME}` and `${NAME:-default}` in values: environment variables that differ between installations.

| written | becomes |
| --- | --- |
| `${NAME}` | the variable's value; an error if it is not set |
| `${NAME:-default}` | the variable's value; the default if it is unset or empty |
| `$${` | the text `${` |

A value that is a single variable without quotes is read as if its text was written there: numbers, true, false
and null keep their YAML type. Within quotes or other text it is text. The value of a variable is never expanded
again. Keys and comments are not expanded.
Within braces and brackets (`{a: "${NAME}"}`) YAML requires the quotes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from elt_factory.config.errors import MistakeError, near_name, shown

BEGIN = "${"
_VARIABLE = re.compile(
    r"\$(?P<escaped>\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-(?P<default>[^{}]*))?\}"
)
_SECRET = re.compile(r"(?:PASSWORD|PASSWD|_PWD|PASSPHRASE|TOKEN|SECRET|CREDENTIALS?|KEY)[0-9]*$", re.IGNORECASE)


# whether variables stay as they are written
_unread: ContextVar[bool] = ContextVar("unread", default=False)


@contextmanager
def unread_variables() -> Iterator[None]:
    """Read no variable of the environment within the block.

    `${NAME:-default}` is the default, and `${NAME}` stays as it is written.
    """
    token = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(token)


def variables_are_unread() -> bool:
    """Whether this is within `unread_variables`."""
    return _unread.get()


def substitute(text: str) -> str:
    """Return the text with the values of its variables.

    Raises:
        MistakeError: a variable that is not set, that looks like a secret, or that is not written as above.
    """
    # what is on both sides of one begins no other
    rest = _VARIABLE.sub(" ", text)
    if BEGIN in rest:
        hint = "write ${NAME} or ${NAME:-default}; for the literal text, write $${"
        raise MistakeError("invalid variable reference", hint)
    return _VARIABLE.sub(_value, text)


def is_variable(text: str) -> bool:
    """Whether a text is one variable and nothing else."""
    match = _VARIABLE.fullmatch(text)
    return match is not None and match["escaped"] is None


def _value(match: re.Match[str]) -> str:
    name = match["name"]
    if name is None:
        return BEGIN
    if _SECRET.search(name):
        hint = "put the secret into an Airflow connection, and write that connection's id here"
        raise MistakeError(f"variable {name} looks like a secret", hint, code="secret")
    if _unread.get():
        return match["default"] if match["fallback"] is not None else match[0]
    value = os.environ.get(name)
    if match["fallback"] is not None:
        return value or match["default"]
    if value is None:
        raise MistakeError(f"variable {name} is not set", _unset_hint(name), code="unknown-name")
    return value


def _unset_hint(name: str) -> str:
    # the names of variables that may hold secrets are no one's business
    near = near_name(name, (known for known in os.environ if not _SECRET.search(known)))
    also = f"; {near}" if near.startswith("did you mean") else ""
    return f"set it in Airflow's environment, or write ${{{name}:-default}}{also}"


def in_key(key: str) -> MistakeError:
    """Return the mistake of a variable in a key."""
    return MistakeError(
        f"variables are not allowed in keys: {shown(key)}", "write a literal key, and use the variable in its value"
    )
