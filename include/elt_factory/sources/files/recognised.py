"""What a file is, by its first bytes, where it is not the text that the config says."""

from __future__ import annotations

import json
from typing import Literal

LOOKED_AT = 64 * 1024
_SIGNS = {
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ\x00": "compressed (xz)",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Excel workbook",
    b"%PDF-": "a PDF document",
    b"SQLite format 3\x00": "a SQLite database",
    b"Obj\x01": "an Avro file",
    b"PAR1": "a Parquet file: write format: {type: parquet}",
}
_MARKUP = {b"<!doctype html": "a web page", b"<html": "a web page", b"<?xml": "an XML document"}
_ZEROS, _FEW = 20, 8  # more than one zero byte in that many is not text, if they are not only a few


def not_text(head: bytes, form: Literal["csv", "ndjson"]) -> str:
    """Return what a file that begins so is in truth; empty text where it may be what it should be."""
    for sign, what in _SIGNS.items():
        if head.startswith(sign):
            return what
    if (zeros := head.count(0)) >= _FEW and zeros * _ZEROS > len(head):
        return "not text" + (
            ", or UTF-16 without a byte order mark: set format.encoding if so" if form == "csv" else ""
        )
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for sign, what in _MARKUP.items():
        if begins[: len(sign)].lower() == sign:
            return what
    return "JSON: write format: {type: ndjson}" if form == "csv" and _is_json(begins) else ""


def _is_json(begins: bytes) -> bool:
    first, _, more = begins.partition(b"\n")
    if first.strip() in (b"[", b"{") and more.strip():
        return True
    try:
        return isinstance(json.loads(first), list | dict)
    except ValueError:
        return False
