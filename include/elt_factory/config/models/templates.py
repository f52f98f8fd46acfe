"""The names a template may use, as in `since: "{{ window.start }}"`.

| name | value |
| --- | --- |
| window.start, window.end | the run's window, half-open; its start reaches back by the `lag` of `incremental` |
| cursor | where the extract starts: for a time cursor, the same as window.start; for a numeric cursor (`initial: 0`), that of the last committed load, at first `initial` |
| load_id | the id of the load, the same for every attempt of one window |
| run_id | the id of the Airflow run |
| params.NAME | the value of `params: {NAME: ...}`, or the value from the run's trigger form |
| job.key | in a rest_api table with `job`: a text that no other job has, of any table, run or try; the same where the request that starts one is sent again because its answer was lost |
| connection.extra.NAME, connection.login, connection.password | in params, headers and bodies of a rest_api table: a value of its Airflow connection, for APIs that need a secret besides the one that `auth` sends; a plan shows its name in capital letters in its place, messages show `***` for a value of 6 characters or more, and it is no longer sent as a header of that name |
| TABLE.COLUMN, NAME | in a rest_api table with `for_each`: a column of the parent's row, a value of the list |

A filter after `|` formats a time: `date` (2013-01-31, in the source's time zone), `epoch` and `epoch_ms` (whole seconds
and milliseconds since 1970), `format('%Y%m%d')` (any other way, in the source's time zone); without one it is ISO 8601
in UTC. Unknown names and filters are errors.

Only these fields accept templates:

| field | how a value is used |
| --- | --- |
| `path`, `params` of a rest_api table | text, percent-encoded in `path`, where it stays one path segment |
| `headers`, `form`, `json`, `variables`, `body` of a rest_api table | text; one template alone in `json` and `variables` keeps the type of its value; escaped in a `body` of XML |
| `query` of a sql table | a bound query parameter, never SQL text: do not quote it |
| `filter` of a mongodb table | a value, never an operator; one template alone keeps its type: a time is a date |
| `path` of a files table | part of one file name: it cannot escape the folder, and is not a pattern |

A value of `params` is not part of the `load_id`: the same window, run again with another value, replaces what it wrote.
"""  # noqa: E501 - rows of a Markdown table

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from elt_factory.config.errors import MistakeError, shown
from elt_factory.config.models.directives import check_pattern
from elt_factory.config.synonyms import near_word
from elt_factory.core.window import iso_utc

CURSOR = "cursor"
# what asks a source for what is new; all of them may be times
WINDOW_NAMES = ("window.start", "window.end", CURSOR)
NAMES = (*WINDOW_NAMES, "load_id", "run_id")
FILTERS = ("date", "epoch", "epoch_ms", "format('%Y%m%d')")
_FORMAT = re.compile(r"format\(\s*(?:'([^']*)'|\"([^\"]*)\")\s*\)")
_PARAM = re.compile(r"params\.[a-z][a-z0-9_]*")
_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
# braces alone may be meant: '{{1, 2}, {3, 4}}' is an array in SQL
_NAMED = re.compile(r"\{\{-?\s*([A-Za-z_][\w.]*\s*(?:\|[^{}]*)?)-?\}\}")
# what a query may say around a value, so that the value is a value there
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_OPEN_QUOTE = re.compile(r"['\"`]|/\*")
_OTHER_QUOTES = re.compile(r"\\['\"]|\$\w*\$")

Value = str | int | float | bool | Decimal
Values = Mapping[str, datetime | Value]
Typed = date | datetime | Value


class Use(NamedTuple):
    """A template: the name in it, and the filter, which may be empty."""

    name: str
    filter: str


def check_template(text: str, own: Sequence[str] = ()) -> str:
    """Return the text itself.

    Args:
        text: The text with templates.
        own: Names that it may use next to those of every template; one that ends with a dot is of any column below it.

    Raises:
        ValueError: it uses a name or a filter that does not exist.
    """
    for use in uses(text):
        if not is_own(use.name, own) or use.filter:
            _check_use(use, own)
    rest = _TEMPLATE.sub("", text)
    if "{{" in rest or "}}" in rest:
        raise MistakeError("unclosed template", 'write it like "{{ window.start }}"')
    return text


def is_own(name: str, own: Sequence[str]) -> bool:
    """Whether a name is one of those, or one of the columns below one that ends with a dot."""
    return any(name == known or (known[-1] == "." and known != name and name.startswith(known)) for known in own)


def check_query(text: str) -> str:
    """Return the query itself.

    ValueError also where a template appears in quotes or a comment: its value is not text there.
    """
    found = list(query_uses(text))
    for use in found:
        _check_use(use)
    for quoted in _QUOTED.finditer(text):
        if _NAMED.search(quoted[0]):
            hint = "remove the quotes around it; join text with ||"
            raise MistakeError("template inside a quoted string or comment is not substituted", hint)
    if found and _OTHER_QUOTES.search(text):
        hint = "write '' for a quote inside a string, and do not use $$"
        raise MistakeError("backslash-escaped and dollar quotes are not supported in queries with templates", hint)
    if found and _OPEN_QUOTE.search(_QUOTED.sub("", text)):
        raise MistakeError("unclosed quote or comment", "close it")
    return text


def refuse_template(text: str) -> str:
    """Return the text of a field that is taken as it is written; a template would go unnoticed until the run fails."""
    if "{{" in text and _NAMED.search(text):
        hint = "use them in path and params of a rest_api table, query of a sql table, or path of a files table"
        raise MistakeError("templates are not supported here", hint)
    return text


def render(text: str, values: Values, zone: str = "UTC", safe: Callable[[str], str] = str) -> str:
    """Put the values of a run into a text that `check_template` has passed.

    Args:
        text: The text with templates.
        values: The value of each name.
        zone: The zone of the filter `date`.
        safe: Makes a value's text harmless where it is put.
    """

    def replace(match: re.Match[str]) -> str:
        return safe(_as_text(typed(_use(match[1]), values, zone)))

    return _TEMPLATE.sub(replace, text)


def typed(use: Use, values: Values, zone: str) -> Typed:
    """Return the value of one template, as a value and not as text."""
    value = values[use.name]
    return _filtered(value, use.filter, zone) if isinstance(value, datetime) else value


def _filtered(value: datetime, text: str, zone: str) -> Typed:
    pattern = _pattern(text)
    if pattern is not None:
        return value.astimezone(ZoneInfo(zone)).strftime(pattern)
    return _FILTERS[text](value, zone)


def _pattern(text: str) -> str | None:
    found = _FORMAT.fullmatch(text)
    return (found[1] or found[2] or "") if found else None


def uses(text: str) -> Iterator[Use]:
    """Yield the templates of a text, in their order."""
    return (_use(inner) for inner in _TEMPLATE.findall(text))


def parts_of(text: str) -> Iterator[tuple[str, Use]]:
    """Yield the templates of a text, each with what is between it and the one before it."""
    split = _TEMPLATE.split(text)
    return ((before, _use(inner)) for before, inner in zip(split[::2], split[1::2], strict=False))


def query_uses(text: str) -> Iterator[Use]:
    """Yield the templates of a query, in their order."""
    return (part for part in query_parts(text) if isinstance(part, Use))


def query_parts(text: str) -> Iterator[str | Use]:
    """Yield a query as its pieces of SQL and the templates between them."""
    end = 0
    for match in _NAMED.finditer(text):
        yield text[end : match.start()]
        yield _use(match[1])
        end = match.end()
    yield text[end:]


def _check_use(use: Use, own: Sequence[str] = ()) -> None:
    if use.name not in NAMES and not _PARAM.fullmatch(use.name) and not is_own(use.name, own):
        raise MistakeError(f"unknown template name {shown(use.name)}", _near_use(use.name, own), code="unknown-name")
    pattern = _pattern(use.filter)
    if pattern is not None:
        check_pattern(pattern)
    elif use.filter and use.filter not in _FILTERS:
        message = f"unknown template filter {shown(use.filter)}"
        raise MistakeError(message, near_word(use.filter, FILTERS), code="unknown-name")
    if use.filter and use.name not in WINDOW_NAMES:
        raise MistakeError(f'the filter "{use.filter}" applies only to {", ".join(WINDOW_NAMES)}', "remove the filter")


def _near_use(name: str, own: Sequence[str]) -> str:
    head, _, rest = name.partition(".")
    heads = ("params.", *(known for known in own if known[-1] == "."))
    near_heads = [known for known in heads if rest and near_word(head, [known[:-1]]).startswith("did you mean")]
    lowered = [f"{known}{rest.lower() if known == 'params.' else rest}" for known in near_heads]
    near = near_word(name, (*NAMES, *(known for known in own if known[-1] != "."), *lowered))
    if near.startswith("did you mean"):
        # either of the two may be the one that is wrong
        parents = [known[:-1] for known in near_heads if known in own]
        return f'{near} Or correct for_each, which is "{parents[0]}"' if parents else near
    shapes = [f"{known}COLUMN" if known[-1] == "." else known for known in own]
    return f"use one of: {', '.join((*sorted(NAMES), *shapes))}, params.NAME"


def _use(inner: str) -> Use:
    name, _, filter_name = inner.partition("|")
    return Use(name.strip(), filter_name.strip())


def _as_text(value: Typed) -> str:
    match value:
        case datetime():
            return iso_utc(value)
        case date():
            return value.isoformat()
        case bool():
            return "true" if value else "false"
    return str(value)


_FILTERS: Mapping[str, Callable[[datetime, str], Typed]] = {
    "": lambda value, _: value,
    "date": lambda value, zone: value.astimezone(ZoneInfo(zone)).date(),
    "epoch": lambda value, _: int(value.timestamp()),
    "epoch_ms": lambda value, _: int(value.timestamp()) * 1000 + value.microsecond // 1000,
}

Template = Annotated[str, AfterValidator(check_template)]
# text that is taken as it is written
Verbatim = Annotated[str, AfterValidator(refuse_template)]
