"""JSON documents: an array of records, read as a stream, each record with the text that the document has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from elt_factory.config.models.formats import FileFormat
from elt_factory.config.models.schema_patterns import NO_TEMPLATE
from elt_factory.config.models.values import Text
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.discover.found import Guess
    from elt_factory.extract.request import Spool
    from elt_factory.formats.records import Bad

_DOT = re.compile(r"(?<!\\)\.")
_HEAD_BYTES = 1024 * 1024


class JsonFormat(FileFormat):
    """JSON documents, each an array of records or one that has such an array."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"records": (NO_TEMPLATE,)}

    type: Literal["json"]
    records: Text | None = Field(
        None,
        description=(
            "Path to the records in each document: an array of objects, or one object. By default, the document itself."
        ),
        examples=["data.items"],
    )


def _spooled(form: JsonFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.formats.decoding import as_texts
    from elt_factory.formats.records import spool_of

    texts = dict(zip(files, as_texts(files, "utf-8", workdir / "decoded", "json"), strict=True))
    path = [step.replace("\\.", ".") for step in _DOT.split(form.records)] if form.records else []
    return spool_of(files, workdir, lambda file: _records(file.name, texts[file], path))


def _records(name: str, text: Path, path: Sequence[str]) -> Iterator[bytes | Bad]:
    from elt_factory.formats.json_stream import records
    from elt_factory.formats.records import Bad

    for number, record in enumerate(records(text, name, path), 1):
        if record.startswith("{"):
            yield record.encode()
        else:
            yield Bad(f"record {number}: expected a JSON object", record)


def _odd(file: Path) -> str:
    from elt_factory.formats.recognised import not_text_in

    return not_text_in(file, "json")


def _look(files: Sequence[Delivered], workdir: Path) -> tuple[Spool, Guess]:
    from elt_factory.discover.found import Guess
    from elt_factory.formats.decoding import as_texts

    newest = as_texts(files[-1:], "utf-8", workdir / "looked", "json")[0]
    path = _path_in(newest)
    form = JsonFormat(type="json", records=path)
    shown = f"{{type: json, records: {path}}}" if path else "{type: json}"
    why = "the list of objects in the document" if path else "from the file name"
    return _spooled(form, files, workdir), Guess(shown, why)


def _path_in(file: Path) -> str | None:
    """Return the key of the only list of objects in a document that is an object; None where it is open or none."""
    with file.open("rb") as content:
        head = content.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    if not head.lstrip().startswith("{"):
        return None
    # at the document's own level: no bracket is open before the key but the first
    found = [key for key in _keys_of_lists(head) if re.fullmatch(r"\w+", key)]
    return found[0] if len(found) == 1 else None


def _keys_of_lists(head: str) -> Iterator[str]:
    depth, key = 0, ""
    for token in re.finditer(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[\[\]{}]', head):
        sign = token[0][0]
        if sign == '"':
            key = token[1] if depth == 1 and token[2] else key
        elif sign in "[{":
            if depth == 1 and sign == "[" and head[token.end() :].lstrip()[:1] == "{":
                yield key
            depth += 1
        else:
            depth -= 1


KIND = FormatKind(
    name="json",
    model=JsonFormat,
    spooled=_spooled,
    endings=(".json",),
    odd=_odd,
    look=_look,
)
