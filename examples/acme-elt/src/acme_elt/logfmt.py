"""A format of files: a record a line, as in `at=2013-01-01 method=GET path="/a b" ms=12`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from elt_factory.config.models.formats import FileFormat
from elt_factory.extract.request import Spool
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.records import Bad, spool_of

_PAIR = re.compile(r'([\w.-]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))(?:\s+|$)')


class Logfmt(FileFormat):
    """Lines of `key=value`."""

    type: Literal["logfmt"]
    comment: str = Field("#", min_length=1, description="What lines begin with that are not records.", examples=["//"])


def _records(file: Delivered, comment: str) -> Iterator[bytes | Bad]:
    with file.path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text and not text.startswith(comment):
                yield _record(text) or Bad(f"line {number}: not key=value all along", text)


def _record(text: str) -> bytes | None:
    pairs = list(_PAIR.finditer(text))
    if sum(len(pair[0]) for pair in pairs) != len(text):
        return None
    values = {pair[1]: pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2]) for pair in pairs}
    return json.dumps(values, ensure_ascii=False).encode()


def _spooled(form: Logfmt, files: Sequence[Delivered], workdir: Path) -> Spool:
    return spool_of(files, workdir, lambda file: _records(file, form.comment))


KIND = FormatKind(name="logfmt", model=Logfmt, spooled=_spooled, endings=(".logfmt",))
