"""The records of an XML document, one after the other, without the document in memory. Entities are refused."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import msgspec

from elt_factory.core.failures import BadDataError
from elt_factory.formats.records import Bad
from elt_factory.landing import limits

_CHUNK = 1024 * 1024
_NEAR, _MOST_OTHERS = 0.8, 100
_TEXT = "text"  # the key of an element's text, where it has attributes or elements, too


class _RefusedError(Exception):
    """A document that declares entities: a few lines of it can be gigabytes, or a file of this machine."""


def records(file: Path, name: str, path: Sequence[str], lists: Collection[str]) -> Iterator[bytes | Bad]:
    """Yield each element at a path as a JSON object of its attributes and elements.

    Args:
        file: The document.
        name: What people call it.
        path: The names of the elements from the root to the records.
        lists: Names of elements that are lists also where there is one of them.

    Raises:
        BadDataError: it is not XML, declares entities, or has nothing at the path.
    """
    reader = _Reader(path, lists)
    parser = reader.parser()
    try:
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                parser.Parse(chunk, False)
                yield from reader.taken()
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise BadDataError(f"{name} line {error.lineno} column {error.offset + 1}: not XML: {why}") from None
    except (ValueError, LookupError) as error:
        raise BadDataError(f"{name}: its encoding is not known: {error}") from None
    except RecursionError:
        raise BadDataError(f"{name} line {parser.CurrentLineNumber}: nested too deep") from None
    except _RefusedError:
        raise BadDataError(f"{name} line {parser.CurrentLineNumber}: declares entities, which are not read") from None
    yield from reader.taken()
    if not reader.found:
        raise BadDataError(f"{name}: no element {'.'.join(path[:-1]) or path[0]}; the root is {reader.root}")
    if meant := reader.meant():
        raise BadDataError(f"{name}: no element {'.'.join(path)}; did you mean {meant}?")


@dataclass
class _Element:
    name: str
    values: dict[str, Any]
    text: list[str] = field(default_factory=list)
    is_null: bool = False

    def add(self, name: str, value: Any, *, is_list: bool) -> None:
        if name not in self.values:
            self.values[name] = [value] if is_list else value
        elif isinstance(self.values[name], list):
            self.values[name].append(value)
        else:
            self.values[name] = [self.values[name], value]

    def value(self) -> Any:
        text = "".join(self.text)
        if self.is_null:
            # what is nil may say why
            return self.values or None
        if not self.values:
            return text or None
        if text.strip():
            self.add(_TEXT, text, is_list=False)
        return self.values


class _Reader:
    def __init__(self, path: Sequence[str], lists: Collection[str]) -> None:
        self._path, self._lists = list(path), lists
        self._open = list[str]()
        self._record = list[_Element]()
        self._ready = list[bytes | Bad]()
        self._size = self._number = 0
        self.root, self.found = "", False
        self._others = set[str]()  # elements where the records should be

    def parser(self) -> expat.XMLParserType:
        made = expat.ParserCreate()
        made.buffer_text = True
        made.StartElementHandler, made.EndElementHandler = self._start, self._end
        made.CharacterDataHandler = self._data
        made.EntityDeclHandler = made.SkippedEntityHandler = self._refuse
        return made

    def taken(self) -> Iterator[bytes | Bad]:
        """Yield the records that are complete; they are let go."""
        ready, self._ready = self._ready, []
        return iter(ready)

    def meant(self) -> str:
        """Return the name that is almost that of the records, where there is no record; empty for none.

        Elements of other names may be what a document without records has.
        """
        folded = {name.casefold(): name for name in self._others}
        near = difflib.get_close_matches(self._path[-1].casefold(), folded, 1, _NEAR) if not self._number else []
        return folded[near[0]] if near else ""

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        self._open.append(name)
        self.root = self.root or name
        self.found = self.found or self._open == (self._path[:-1] or self._path)
        if not self._number and len(self._others) < _MOST_OTHERS and self._open[:-1] == self._path[:-1]:
            self._others.add(name)
        if self._record or self._open == self._path:
            is_null = any(key.endswith(":nil") and value in ("true", "1") for key, value in attributes.items())
            element = _Element(name, {}, is_null=is_null)
            # two of other namespaces may have one name
            for key, value in attributes.items():
                if not _is_of_xml(key):
                    element.add(_local(key), value, is_list=False)
            self._record.append(element)
            self._count(sum(map(len, attributes.values())))

    def _data(self, text: str) -> None:
        if self._record:
            self._record[-1].text.append(text)
            self._count(len(text))

    def _end(self, _: str) -> None:
        self._open.pop()
        if not self._record:
            return
        element = self._record.pop()
        if self._record:
            self._record[-1].add(element.name, element.value(), is_list=element.name in self._lists)
        else:
            self._number += 1
            self._ready.append(self._complete(element))
            self._size = 0

    def _complete(self, element: _Element) -> bytes | Bad:
        value = element.value()
        if self._size > limits.RECORD_BYTES:
            return Bad(f"record {self._number}: longer than {limits.RECORD_BYTES:,} characters", "")
        if not isinstance(value, dict):
            return Bad(f"record {self._number}: the element has no attributes and no elements", value or "")
        return msgspec.json.encode(value)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > limits.RECORD_BYTES:
            for element in self._record:
                element.text.clear()
                element.values.clear()

    def _refuse(self, *_: object) -> None:
        raise _RefusedError


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _is_of_xml(attribute: str) -> bool:
    """Whether an attribute is about the document and not about the record."""
    return attribute == "xmlns" or attribute.startswith(("xmlns:", "xsi:", "xml:"))
