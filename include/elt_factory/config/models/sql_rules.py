"""What can be said of SQL without a parser: one statement, that reads, with its brackets and quotes closed.

Which database reads a query is known only by its connection, so no dialect is assumed. The semicolon at the end is
taken off: what is built around a query or a condition would be cut there.
"""

from __future__ import annotations

import re

from elt_factory.config.errors import MistakeError, shown

_UNSEEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_FIRST = re.compile(r"[\s(]*([A-Za-z_]+)")
_READS = (
    "select",
    "with",
    "values",
    "table",
    "from",
    "show",
    "describe",
    "desc",
    "explain",
    "pragma",
    "exec",
    "execute",
    "call",
)
_CHANGES = re.compile(r"\(\s*(insert\s+into|update|delete\s+from|merge\s+into)\b", re.IGNORECASE)
_STATEMENT = re.compile(
    r"[\s(]*(select\b|where\b|having\b|insert\s+into|delete\s+from|update\s+\S+\s+set|merge\s+into|"
    r"(?:drop|create|alter|truncate)\s+(?:or\s+\w+|table|view|schema)\b)",
    re.IGNORECASE,
)
_AGGREGATE = re.compile(r"\b(count|sum|avg|min|max)\s*\(", re.IGNORECASE)
_OVER = re.compile(r"\)\s*over\s*[(\w]", re.IGNORECASE)


def check_reading(text: str) -> str:
    """Return a query without its last semicolon.

    Raises:
        MistakeError: it is not a single statement that reads rows.
    """
    query, plain = _one_statement(text, "query")
    word = _FIRST.match(plain)
    if word and word[1].lower() not in _READS:
        hint = "write a SELECT, or a WITH that ends in one"
        raise MistakeError(f"expected a SELECT, got {shown(word[1])}", hint)
    changes = _CHANGES.search(plain)
    if changes:
        message = f"query changes data: it contains {shown(changes[1].split()[0].upper())}"
        raise MistakeError(message, "write a SELECT that only reads")
    return query


def check_condition(text: str) -> str:
    """Return a condition without its last semicolon.

    Raises:
        MistakeError: it cannot be one, whatever the dialect.
    """
    condition, plain = _one_statement(text, "expression")
    found = _STATEMENT.match(plain)
    if found:
        hint = "write only the condition, like arr_delay >= -120"
        raise MistakeError(f"expected a condition, got {shown(found[1].split()[0])}", hint)
    aggregate, over = _AGGREGATE.search(plain), _OVER.search(plain)
    if (aggregate or over) and not asks_other_rows(text):
        what = f"the aggregate {aggregate[1]}" if aggregate else "a window function"
        message = f"a condition is checked row by row, so {what} is not allowed"
        raise MistakeError(message, "use row_count, unique, or a dbt test")
    return condition


def asks_other_rows(condition: str) -> bool:
    """Tell whether a condition has a SELECT in it."""
    return re.search(r"\bselect\b", without_unseen(condition), re.IGNORECASE) is not None


def without_unseen(text: str) -> str:
    """Return SQL with blanks for all that is in quotes or comments, of the same length."""
    return _UNSEEN.sub(lambda found: " " * len(found[0]), text)


def _one_statement(text: str, what: str) -> tuple[str, str]:
    """Return the text up to its last semicolon, as it is and without what is in quotes and comments."""
    plain = without_unseen(text)
    end = len(text)
    # what is before the semicolon may end in quotes, which are blanks in `plain`
    while plain[:end].rstrip().endswith(";"):
        end = len(plain[:end].rstrip()) - 1
    text, plain = (text, plain) if end == len(text) else (text[:end].rstrip(), plain[:end])
    if ";" in plain:
        hint = "remove the semicolon and what follows it"
        raise MistakeError(f"the {what} must be a single statement", hint)
    if not plain.strip():
        raise MistakeError(f"the {what} is empty", "write it after the colon")
    _check_brackets(text, plain)
    return text, plain


def _check_brackets(text: str, plain: str) -> None:
    # a backslash may be an escape, and # begin a comment: in some databases
    if "\\" in text or "#" in plain:
        return
    depth = 0
    for sign in plain:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            raise MistakeError('unmatched ")"', "delete it")
    if depth:
        raise MistakeError("unclosed parenthesis", 'add the missing ")"')
    if re.search("['\"`]", plain):
        raise MistakeError("unclosed quote", "close it")
