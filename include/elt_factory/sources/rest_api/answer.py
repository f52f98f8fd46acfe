"""JSON answers taken apart without a Python object per record: records stay the bytes that were sent."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api import loose
from elt_factory.sources.rest_api.body import Body
from elt_factory.sources.rest_api.damage import DamagedAnswerError, UnreadableAnswerError
from elt_factory.sources.rest_api.one_pass import KEYS, Listed, taken_apart
from elt_factory.sources.rest_api.records_model import steps

__all__ = [
    "Document",
    "UnreadableAnswerError",
    "check_objects",
    "find_in",
    "first_byte",
    "items_of",
    "keys_of",
    "ndjson",
    "parse",
    "steps",
]

_LIST = msgspec.json.Decoder(list[Raw])
# a tab between tokens means as much, and within a text it is as wrong as a line break: the contract says so
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"\t\t")
_EXCERPT = 80
_PIECE = 1024 * 1024
_CUT = "truncated"  # the word of msgspec for what ends too soon


@dataclass(frozen=True)
class Document:
    """One JSON answer, an object (`keys`: its values, still bytes) or a list (`keys` is None).

    `listed` is a list in it, or the answer itself, that is taken apart already.
    """

    body: Body
    keys: Mapping[str, Raw] | None
    listed: Listed | None = None

    def find(self, path: str) -> Raw | None:
        """Return the value at a dotted path; None where there is none."""
        if self.keys is None:
            # only a place in it leads into an answer that is a list
            return find_in(Raw(memoryview(self.body)), path) if path[:1].isdecimal() else None
        node: Mapping[str, Raw] | None = self.keys
        *above, last = steps(path)
        for name in above:
            node = keys_of(node[name]) if node and name in node else None
        return node.get(last) if node else None

    def records(self, path: str | None) -> Sequence[Raw]:
        """Return the records of the list at a dotted path; without one the answer is the list, or one record.

        Raises:
            UnreadableAnswerError: there is no list.
        """
        if path is None:
            return self.items(self.body) if self.keys is None else [Raw(bytes(self.body).strip())]
        found = self.at(path)
        if first_byte(found) != b"[":
            raise UnreadableAnswerError(f'records: "{path}" holds {_excerpt(found)}, which is not a list')
        return self.items(found)

    def items(self, raw: Raw | Body) -> Sequence[Raw]:
        """Return the elements of a list in the answer.

        Raises:
            UnreadableAnswerError: it is broken.
        """
        return self.listed.items if self.listed and self.listed.whole is raw else items_of(raw)

    def at(self, path: str | None) -> Raw:
        """Return the value at a dotted path; without one, the whole answer.

        Raises:
            UnreadableAnswerError: there is none.
        """
        if path is None:
            return Raw(bytes(self.body).strip())
        if self.keys is None:
            if (found := self.find(path)) is not None:
                return found
            raise UnreadableAnswerError(f'the response itself is a list: remove records: "{path}"')
        node: Mapping[str, Raw] | None = self.keys
        found = Raw(memoryview(self.body))
        for name in steps(path):
            if node is None or name not in node:
                there = f"it has the keys: {', '.join(node)}" if node else f"found {_excerpt(found)}"
                raise UnreadableAnswerError(f'records: "{path}" is not in the response: no "{name}", {there}')
            found = node[name]
            node = keys_of(found)
        return found


def find_in(raw: Raw, path: str) -> Raw | None:
    """Return the value at a dotted path below an object, a number for a place in a list; None where there is none."""
    found: Raw | None = raw
    for name in steps(path):
        if found is None:
            return None
        node = keys_of(found)
        found = (node or {}).get(name) if node is not None or not name.isdecimal() else _item(found, int(name))
    return found


def _item(raw: Raw, place: int) -> Raw | None:
    items = items_of(raw) if first_byte(raw) == b"[" else ()
    return items[place] if place < len(items) else None


def parse(body: Body) -> Document:
    """Check a whole answer. A byte order mark before it is passed over, and so is what is wrong within one record.

    Raises:
        DamagedAnswerError: it ends too soon.
        UnreadableAnswerError: it is not a JSON object or list in UTF-8.
    """
    body = body[len(codecs.BOM_UTF8) :] if body[: len(codecs.BOM_UTF8)] == codecs.BOM_UTF8 else body
    is_list = bytes(body[:_EXCERPT]).lstrip()[:1] == b"["
    try:
        _check_text(body)
        if is_list:
            return Document(body, None, Listed(body, _LIST.decode(body)))
        found = taken_apart(body)
        return Document(body, *found) if found else Document(body, KEYS.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (loosely := _loosely(body, is_list=is_list)) is not None:
            return loosely
        kind = DamagedAnswerError if _CUT in str(error) else UnreadableAnswerError
        raise kind(f"the response is not a JSON object or list: {error}: {_excerpt(body[: _EXCERPT + 1])}") from None


def _check_text(body: Body) -> None:
    """Refuse what is not UTF-8: msgspec skips over the inside of a raw value's strings."""
    if isinstance(body, bytes) and body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _PIECE):
        decoder.decode(body[start : start + _PIECE])
    decoder.decode(b"", final=True)


def ndjson(records: Sequence[Raw], *, unbroken: bool = False) -> bytes:
    """Write the records as lines, each byte as it was sent but for line breaks.

    What is not an object is a line too: the contract rejects it, with the reason. `unbroken` ones have no line breaks.
    """
    if not unbroken and has_breaks(b"".join(records)):
        return b"".join(one_line(record) + b"\n" for record in records)
    return b"\n".join([*records, b""]) if records else b""


def one_line(record: Raw) -> bytes:
    """Return a value's bytes without line breaks: these are between tokens, as JSON has them escaped in its texts."""
    return bytes(record).translate(_LINE_BREAKS)


def has_breaks(body: Body) -> bool:
    """Whether there is a line break in these bytes."""
    # to look for what is not there takes a tenth of the time of counting what is
    return body.find(b"\n") >= 0 or body.find(b"\r") >= 0


def check_objects(records: Sequence[Raw]) -> None:
    """Refuse a record that is not an object."""
    for number, record in enumerate(records, 1):
        if first_byte(record) != b"{":
            raise UnreadableAnswerError(f"record {number}: expected an object, got {_excerpt(record)}")


def first_byte(raw: Raw) -> bytes:
    """Return what tells an object from a list from a text, without a copy of it."""
    return bytes(memoryview(raw)[:1])


def keys_of(raw: Raw) -> Mapping[str, Raw] | None:
    """Return the keys of a value that is an object; None for any other value."""
    if first_byte(raw) != b"{":
        return None
    try:
        return KEYS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _wrapped(bytes(raw))


def _wrapped(raw: bytes) -> Mapping[str, Raw]:
    try:
        return {key: Raw(value) for key, value in loose.keys(raw).items()}
    except ValueError as error:
        raise UnreadableAnswerError(f"cannot read an object in the response: {error}: {_excerpt(raw)}") from None


def items_of(raw: Raw | Body) -> Sequence[Raw]:
    """Return the elements of a list.

    Raises:
        UnreadableAnswerError: it is broken.
    """
    try:
        return _LIST.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return [Raw(item) for item in loose.items(bytes(raw))]
        except ValueError as error:
            message = f"cannot read a list in the response: {error}: {_excerpt(bytes(memoryview(raw)[:_EXCERPT]))}"
            raise UnreadableAnswerError(message) from None


def _loosely(body: Body, *, is_list: bool) -> Document | None:
    """Return the answer taken apart where some of its records are not JSON; None where its own form is broken."""
    whole = bytes(body)
    try:
        if is_list:
            loose.items(whole)
            return Document(body, None)
        if whole.lstrip()[:1] != b"{":
            return None
        return Document(body, _wrapped(whole))
    except ValueError:
        return None


def _excerpt(raw: Raw | bytes) -> str:
    text = bytes(raw).decode(errors="replace")
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}..."
