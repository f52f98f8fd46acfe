"""JSON taken apart where a part of it is not JSON: one bad record shall not cost the others of its answer.

Only brackets, commas and the ends of texts are looked at, so what is inside a value may be anything. It is slower than
a JSON reader, and used only where that has failed.
"""

from __future__ import annotations

import json
import re

_TEXT = rb'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(_TEXT + rb'|["\[\]{},]', re.DOTALL)
_KEY = re.compile(rb"\s*(" + _TEXT + rb")\s*:", re.DOTALL)
_CLOSING = {b"[": b"]", b"{": b"}"}


def items(raw: bytes) -> list[bytes]:
    """Return the values of a list, or the entries of an object, as they were written.

    Raises:
        ValueError: brackets or quotes do not match, or nothing is between two commas.
    """
    body = raw.strip()
    found, open_brackets, start = list[bytes](), list[bytes](), 1
    for token in _TOKEN.finditer(body):
        sign = token.group()
        if sign in _CLOSING:
            open_brackets.append(_CLOSING[sign])
        elif sign == b"," and len(open_brackets) == 1:
            found.append(body[start : token.start()].strip())
            start = token.end()
        elif sign in (b"]", b"}"):
            if not open_brackets or open_brackets.pop() != sign:
                raise ValueError("unmatched brackets")
            if not open_brackets:
                return _complete(found, body[start : token.start()].strip(), body[token.end() :])
        elif sign == b'"':
            break
    raise ValueError("it is truncated")


def keys(raw: bytes) -> dict[str, bytes]:
    """Return the values of an object by their keys, as they were written.

    A text, number or word among them is valid JSON.

    Raises:
        ValueError: it is not such an object.
    """
    found = {}
    for entry in items(raw):
        key = _KEY.match(entry)
        if key is None:
            raise ValueError("missing key")
        value = entry[key.end() :].strip()
        if value[:1] not in _CLOSING:
            json.loads(value, parse_constant=_refuse)
        found[json.loads(key[1])] = value
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _complete(found: list[bytes], last: bytes, rest: bytes) -> list[bytes]:
    complete = [*found, last] if found or last else []
    if rest.strip() or not all(complete):
        raise ValueError("missing or trailing content")
    return complete
