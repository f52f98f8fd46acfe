"""What a file is, by its first bytes, where it is not the text that the config says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.kinds import KindError
from elt_factory.formats.utf16 import utf16_of

LOOKED_AT = 64 * 1024
# formats have signs of their own
_SIGNS = {
    b"\x1f\x8b": "compressed (gzip)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ\x00": "compressed (xz)",
    b"%PDF-": "a PDF document",
    b"SQLite format 3\x00": "a SQLite database",
}
_MARKUP = {
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document: write format: {type: xml}",
}
_CONTROL, _FIRST = 9, 256
_ZEROS, _FEW = 20, 8  # more than one zero byte in that many is not text, if they are not only a few


def not_text(head: bytes, form: str) -> str:
    """Return what a file that begins so is in truth; empty text where it may be text of this format."""
    for sign, what in _signs().items():
        # a sign of letters alone may be the name of a column: what follows it in such a file is not text
        if head.startswith(sign) and not (sign.isalnum() and not any(byte < _CONTROL for byte in head[:_FIRST])):
            return what
    if (zeros := head.count(0)) >= _FEW and zeros * _ZEROS > len(head):
        return "not text" + (
            ", or UTF-16 without a byte order mark: set format.encoding if so" if form == "csv" else ""
        )
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for sign, what in _MARKUP.items():
        if begins[: len(sign)].lower() == sign:
            return what
    found = _json_format(begins) if form == "csv" else ""
    return f"JSON: write format: {{type: {found}}}" if found else ""


def not_text_in(file: Path, form: str) -> str:
    """Return why a file that is named like text of this format is not; "" where it may be."""
    with file.open("rb") as content:
        head = content.read(LOOKED_AT)
    what = "" if utf16_of(head, "utf-8") else not_text(head, form)
    return f"not {form} but {what}" if what else ""


@cache
def _signs() -> Mapping[bytes, str]:
    found = dict(_SIGNS)
    for name in FORMATS.names():
        with suppress(KindError):
            signs = FORMATS.get(name).signs
            found |= {sign: f"{what}: write format: {{type: {name}}}" for sign, what in signs.items()}
    return found


def _json_format(begins: bytes) -> str:
    """Return the format of JSON that begins so: an object a line, or a document over many; "" for other text."""
    first, _, more = begins.partition(b"\n")
    if first.strip() in (b"[", b"{") and more.strip():
        return "json"
    try:
        value = json.loads(first)
    except ValueError:
        return ""
    return "ndjson" if isinstance(value, dict) else "json" if isinstance(value, list) else ""
