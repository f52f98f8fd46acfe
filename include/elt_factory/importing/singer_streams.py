"""Streams of a Singer tap, as a catalog and what Meltano selects say which of them are read, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from elt_factory.importing.shape import TEXTS

_ROOT = {
    "key-properties": TEXTS,
    "table-key-properties": TEXTS,
    "view-key-properties": TEXTS,
    "replication-key": "text",
}
CATALOG = {
    "streams": [
        {
            "tap_stream_id": "text",
            "stream": "text",
            "key_properties": TEXTS,
            "table_key_properties": TEXTS,
            "replication_key": "text",
            "schema": {"properties": {}},
            "metadata": [{"breadcrumb": ["text"], "metadata": _ROOT}],
        }
    ]
}
_WILD = frozenset("*?[")


@dataclass
class Stream:
    """A stream: what is known of it, its columns that are not read, and why it is not read itself.

    Args:
        said: Its key, its cursor, whether it is read by its changes, or from a log of changes.
        columns: Its columns, as far as they are known.
        dropped: Those that are not read.
        notes: What is said of columns that are not known.
        unsaid: Why it is not read; empty where it is.
    """

    said: dict[str, Any]
    columns: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    unsaid: str = ""


def chosen(tap: Mapping[str, Any], catalog: Any, bookmarks: Iterable[str]) -> dict[str, Stream]:
    """Return the streams of a tap with their keys and cursors where the project has them.

    Args:
        tap: The tap as Meltano has it: its rules are select and metadata.
        catalog: What a file says of its streams; None where there is none.
        bookmarks: The streams that its state names.
    """
    rules = [_rule(str(one)) for one in tap.get("select") or []]
    found = dict(_of_catalog(catalog))
    if not found:
        plain = [stream for stream, _, taken in rules if taken and not _WILD & set(stream)]
        found = {str(name): Stream({}) for name in (*plain, *bookmarks)}
    for name, stream in found.items():
        about = (tap.get("metadata") or {}).items()
        stream.said |= _said_of(name, about)
        if not stream.unsaid:
            _select(name, stream, rules, _unselected(name, about))
    return found


def _rule(written: str) -> tuple[str, str, bool]:
    """Return the pattern of a stream, that of a column of it, and whether it is read."""
    stream, _, column = written.removeprefix("!").partition(".")
    return stream, column or "*", not written.startswith("!")


def _select(name: str, stream: Stream, rules: Iterable[tuple[str, str, bool]], unselected: list[str]) -> None:
    """Say of a stream which of its columns are not read, and whether it is not."""
    own = [(column, taken) for pattern, column, taken in rules if fnmatchcase(name, pattern)]
    ins = [column for column, taken in own if taken]
    outs = [*(column for column, taken in own if not taken), *unselected]
    if (any(taken for *_, taken in rules) and not ins) or "*" in outs:
        stream.unsaid = "it was not selected"
        return
    every = not ins or "*" in ins
    tops = {column.partition(".")[0] for column in ins}
    kept = {column for column in stream.columns if every or any(fnmatchcase(column, one) for one in tops)}
    if not every and not stream.columns:
        text = f"only {', '.join(ins)} were selected: every column comes; drop others by pii: drop"
        stream.notes.append(text)
    odd = [one for one in outs if "." in one or (_WILD & set(one) and not stream.columns)]
    if odd:
        stream.notes.append(f"{', '.join(odd)} were not selected, and come: drop them by pii: drop")
    away = {column for column in stream.columns if column not in kept or any(fnmatchcase(column, one) for one in outs)}
    plain = [one for one in outs if not _WILD & set(one) and "." not in one]
    # a tap sends its keys and its cursor whatever is selected
    needed = {*(stream.said.get("key") or ()), stream.said.get("cursor")}
    listed = dict.fromkeys((*stream.dropped, *(one for one in stream.columns if one in away), *plain))
    stream.dropped = tuple(one for one in listed if one not in needed)


def _said_of(name: str, said: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found = [about for pattern, about in said if fnmatchcase(name, str(pattern)) and isinstance(about, Mapping)]
    # of several rules the last one holds, also where it takes a cursor away
    return {key: value for about in found for key, value in _of_metadata(about).items()}


def _unselected(name: str, said: Iterable[tuple[Any, Any]]) -> list[str]:
    """Return the columns that rules leave out: such a rule is of a stream and, behind a point, of a column."""
    rules = [(*_rule(str(pattern))[:2], about) for pattern, about in said if isinstance(about, Mapping)]
    return [column for stream, column, about in rules if fnmatchcase(name, stream) and about.get("selected") is False]


def _of_catalog(catalog: Any) -> Iterator[tuple[str, Stream]]:
    for stream in (catalog or {}).get("streams") or []:
        metadata = [(one.get("breadcrumb") or [], one.get("metadata") or {}) for one in stream.get("metadata") or []]
        root: dict[str, Any] = next((about for crumb, about in metadata if not crumb), {})
        said = _of_metadata({**root, **{key.replace("_", "-"): value for key, value in stream.items()}})
        key = said.get("key") or root.get("table-key-properties") or root.get("view-key-properties")
        schema = stream.get("schema") or {}
        found = Stream({**said, **({"key": _listed(key)} if key else {})})
        found.columns = tuple(schema.get("properties") or {})
        found.dropped = tuple(
            crumb[1]
            for crumb, about in metadata
            if crumb[0:1] == ["properties"]
            and not crumb[2:]
            and about.get("selected") is False
            and about.get("inclusion") != "automatic"
        )
        if root.get("selected", schema.get("selected", stream.get("selected", True))) is False:
            found.unsaid = "it was not selected"
        yield str(stream.get("tap_stream_id") or stream["stream"]), found


def _of_metadata(about: Mapping[str, Any]) -> dict[str, Any]:
    method = about.get("replication-method") or about.get("forced-replication-method")
    found: dict[str, Any] = {"key": _listed(about.get("key-properties") or about.get("table-key-properties"))}
    found |= {"cursor": about.get("replication-key"), "changes": method == "INCREMENTAL" if method else None}
    found |= {"of_log": method == "LOG_BASED" if method else None}
    return {key: value for key, value in found.items() if value or (key in ("changes", "of_log") and value is False)}


def _listed(key: Any) -> list[str]:
    """Return the columns of a key: where there is one, it may be written without a list."""
    return [key] if isinstance(key, str) and key else [str(one) for one in key or []]
