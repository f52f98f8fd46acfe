"""Which JSON text every warehouse takes: valid, not too long or deep, without NaN and without a key twice in an object.

DuckDB reads more than that, and Snowflake's PARSE_JSON fails on a whole load for one value of it.
"""

from __future__ import annotations

import re

from elt_factory.core.sql_text import text_literal
from elt_factory.landing import limits

_TEXT = r'"(?:[^"\\]|\\.)*"'
_NUMBERS_THAT_ARE_NONE = "(?i)nan|inf"
# every key with its colon, and the brackets; texts are passed over
_SHAPE = rf"({_TEXT}\s*:|[\[\]{{}}])|{_TEXT}"
_KEY = r'"[^"]*"\s*:'
SHORTEST_DEEP = 2 * limits.JSON_DEPTH + 2  # bytes


def _within(levels: int) -> str:
    """Return a pattern for JSON that is nested no deeper.

    It is one pass without backtracking.
    """
    rest = rf'(?:[^\[\]{{}}"]|{_TEXT}'
    return "(?s)" + rf"{rest}|[\[{{]" * levels + f"{rest})*" + r"[\]}])*" * levels


_NOT_TOO_DEEP = _within(limits.JSON_DEPTH)


def pointer_to(key: str) -> str:
    """Return the JSON pointer to a key, whatever the key holds."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def fits(text: str) -> str:
    """Return the condition under which a JSON text is taken.

    A key twice in an object is looked for by `repeated_keys`.
    """
    return (
        f"json_valid({text}) AND strlen({text}) <= {limits.TEXT_BYTES} AND NOT ({too_deep(text)}) AND "
        f"NOT ({_has_no_number(text)})"
    )


def reason(text: str, otherwise: str) -> str:
    """Why a JSON text is not taken; `otherwise` is SQL for text that is not JSON at all."""
    return (
        f"CASE WHEN strlen({text}) > {limits.TEXT_BYTES} THEN 'is longer than {limits.TEXT_BYTES:,} bytes' "
        f"WHEN NOT json_valid({text}) THEN {otherwise} "
        f"WHEN {too_deep(text)} THEN 'is nested deeper than {limits.JSON_DEPTH} levels' "
        f"WHEN {_has_no_number(text)} THEN 'contains NaN or Infinity, which JSON does not have' "
        "ELSE 'has a key twice in one object' END"
    )


def may_repeat_keys(text: str) -> str:
    """Return the condition that some key may appear twice in an object: it does appear twice in the text."""
    keys = f"regexp_extract_all({text}, {text_literal(_KEY)})"
    return f"len({keys}) <> len(list_distinct({keys}))"


def shape(text: str) -> str:
    """Return the keys and brackets of a JSON text: the same for every value of one form."""
    # of a text alone there is no part
    return f"coalesce(array_to_string(regexp_extract_all({text}, {text_literal(_SHAPE)}, 1), ''), '')"


def repeats_a_key(shape: str) -> bool:
    """Whether an object of a shape has a key twice."""
    objects: list[set[str]] = []
    for part in re.findall(rf"{_TEXT}\s*:|[\[\]{{}}]", shape, re.DOTALL):
        if part in "[{":
            objects.append(set())
        elif part in "]}":
            objects.pop()
        else:
            key = part.rstrip(": \t\r\n")
            if key in objects[-1]:
                return True
            objects[-1].add(key)
    return False


def too_deep(text: str) -> str:
    """Return the condition that objects and arrays are within each other more often than any warehouse takes."""
    return f"strlen({text}) >= {SHORTEST_DEEP} AND NOT regexp_full_match({text}, {text_literal(_NOT_TOO_DEEP)})"


def _has_no_number(text: str) -> str:
    outside = f"regexp_replace({text}, {text_literal(_TEXT)}, '', 'g')"
    seldom = f"(contains(lower({text}), 'nan') OR contains(lower({text}), 'inf'))"
    return f"{seldom} AND regexp_matches({outside}, '{_NUMBERS_THAT_ARE_NONE}')"
