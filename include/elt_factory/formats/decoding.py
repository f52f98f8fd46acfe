"""Text files in other encodings, copied as UTF-8 before anything reads them; UTF-16 is known by its mark."""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Sequence
from pathlib import Path

from elt_factory.core.failures import BadDataError
from elt_factory.formats.kind import Delivered
from elt_factory.formats.recognised import LOOKED_AT, not_text
from elt_factory.formats.utf16 import MARKS, utf16_of

_CHUNK = 1024 * 1024
_LOOKED_AT = 4096
_READ_AS_THEY_ARE = ("utf-8", "latin-1", "utf-16")  # the last one only without its mark: then the bytes decide
# what is not a character becomes a byte that UTF-8 never has, so that its line is rejected and not changed
_NO_CHARACTER = "\udcff"


def as_texts(files: Sequence[Delivered], encoding: str, folder: Path, form: str) -> tuple[Path, ...]:
    """Return files of text in an encoding that DuckDB reads.

    Raises:
        BadDataError: one is something else than text.
    """
    return tuple(_as_text(file, encoding, folder / f"{number:06}", form) for number, file in enumerate(files))


def _as_text(file: Delivered, encoding: str, folder: Path, form: str) -> Path:
    text = as_utf8(file.path, encoding, folder)
    with text.open("rb") as content:
        what = not_text(content.read(LOOKED_AT), form)
    if what:
        raise BadDataError(f"{file.name} is not {form} but {what}")
    return text


def as_utf8(file: Path, encoding: str, folder: Path) -> Path:
    """Return the file, or where it is neither UTF-8 nor latin-1 a copy in UTF-8, of the same name, in a new folder.

    A UTF-16 file with its mark is known as one also where `encoding` says utf-8.
    """
    with file.open("rb") as source:
        codec = utf16_of(source.read(_LOOKED_AT), encoding)
    if codec is None and encoding not in _READ_AS_THEY_ARE:
        codec = encoding
    if codec is None:
        return file
    folder.mkdir(parents=True)
    return _decoded(file, codec, folder / file.name)


def _decoded(file: Path, codec: str, target: Path) -> Path:
    codecs.register_error("elt-mark", _marked)
    decoder = codecs.getincrementaldecoder(codec)("elt-mark")
    with file.open("rb") as source, target.open("wb") as copy:
        if source.read(2) not in MARKS:
            source.seek(0)
        while chunk := source.read(_CHUNK):
            copy.write(decoder.decode(chunk).encode("utf-8", "surrogateescape"))
        copy.write(decoder.decode(b"", final=True).encode("utf-8", "surrogateescape"))
    shutil.copystat(file, target)
    return target


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _NO_CHARACTER, error.end
