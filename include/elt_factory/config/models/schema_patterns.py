"""Patterns for the JSON Schema of what is written: text that an editor can underline before `elt validate` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

DAY = (
    r"^(?!.{4}-02-3)(?!.{4}-(0[469]|11)-31)"
    r"(19[0-9]{2}|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
)
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?"

NAMED = r"[A-Za-z_][\w.]*\s*(\|[^{}]*)?"
_FORMAT = r"""format\(\s*('[^'{}]*'|"[^"{}]*")\s*\)"""
_FILTER = rf"(\|\s*(date|epoch|epoch_ms|{_FORMAT})\s*)?"
KNOWN = rf"((window\.(start|end)|cursor)\s*{_FILTER}|load_id\s*|run_id\s*|params\.[a-z][a-z0-9_]*\s*)"
NO_TEMPLATE = rf"^(?![\s\S]*\{{\{{-?\s*{NAMED}-?\}}\}})"
_HELD = r"connection\.(login|password|extra\.[A-Za-z_]\w*)\s*"
OF_A_CONNECTION = rf"\{{\{{\s*{_HELD}\}}\}}"
KNOWN_OR_HELD = rf"^(?![\s\S]*\{{\{{(?!\s*({KNOWN}|{_HELD})\}}\}}))"
KNOWN_TEMPLATES = rf"^(?![\s\S]*\{{\{{(?!\s*{KNOWN}\}}\}}))"
QUERY_TEMPLATES = rf"^(?![\s\S]*\{{\{{-?\s*(?!{KNOWN}-?\}}\}}){NAMED}-?\}}\}})"
BELOW = r"^(?![/\\]|[A-Za-z]:[/\\]|[\s\S]*://|([\s\S]*[/\\])?\.\.([/\\]|$))"
_SERVER = r"(?:[^/\s@?#:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,4}|:[1-6][0-9]{4})?"
_PLACE = rf"(?:(?:s3|gs)://[^/\s@?]+|(?:az|abfss?)://[^/\s:?]+|sftp://{_SERVER}|https?://{_SERVER}(?![^#]*#))"
FOLDER = rf"^(?:{_PLACE}(?:/(?![\s\S]*(?:\.\./|/\.\.|//|[*?\[]))[\s\S]*)?$|{BELOW[1:]})"
ARCHIVES = r"^(?![\s\S]*\.[zZ][iI][pP]/[\s\S]*%[YmdH])"
PERIODS = r"^([^%]|%[YmdH%])*$"
NO_ADDRESS = r"^(?![\s\S]*://)"
SOME_TIME = r"[1-9]"
NOT_TOO_LONG = r"^([0-9]{1,10}[smhdw])+$"


def any_case(words: Sequence[str]) -> str:
    """Return words in any case, as patterns of JSON Schema have no flag for it."""
    return "|".join("".join(f"[{sign.lower()}{sign.upper()}]" if sign.isalpha() else sign for sign in w) for w in words)


# a query begins with one of these, or with a comment
READS = ("select", "with", "values", "table", "from", "show", "describe", "desc", "explain", "pragma", "exec", "call")
READS_ROWS = rf"^[\s(]*(({any_case(READS)})|--|/\*|#)"
CONDITION = rf"^(?![\s(]*({any_case(('select', 'where', 'having'))})\s)"
_SECRETS = any_case(("api_key", "api-key", "apikey", "token", "access_token", "sig", "signature", "password"))
NO_SECRET = rf"^(?![\s\S]*[?&;]({_SECRETS})=(?!\s*\{{\{{)[^&;#])"
SECRET = any_case(("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"))


def any_of(*names: str) -> Schema:
    """Return that one of these keys is there at least."""
    return {"anyOf": [{"required": [name]} for name in names]}


def both(*names: str) -> Schema:
    """Return that two keys do not have values both: one of them alone may appear, or be switched off by null."""
    given = {name: {"type": "string"} for name in names}
    return {"not": {"required": list(names), "properties": given}}


def not_both(*names: str) -> Schema:
    """Return that of several keys no two have values."""
    given = {"not": {"type": "null"}}
    pairs = [(one, other) for index, one in enumerate(names) for other in names[index + 1 :]]
    return {"not": {"anyOf": [{"required": [*pair], "properties": dict.fromkeys(pair, given)} for pair in pairs]}}
