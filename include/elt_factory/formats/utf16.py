"""How a text is decoded, and a file in UTF-16 known."""

from __future__ import annotations

import codecs

MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def utf16_of(head: bytes, encoding: str) -> str | None:
    """Return the codec of a file that begins so, where it is UTF-16: by its mark, else where `encoding` says so.

    Without a mark the side on which most zeros are decides: texts are mostly letters and signs of ASCII.
    """
    if head.startswith(codecs.BOM_UTF32_LE):
        return None
    marked = MARKS.get(head[:2])
    if marked or encoding != "utf-16":
        return marked if encoding != "latin-1" else None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return "utf-16-be" if even > odd else "utf-16-le"


def codec_of(head: bytes, encoding: str) -> str:
    """Return the codec of a text that begins so, and is of this encoding where it is not UTF-16."""
    return utf16_of(head, encoding) or ("utf-8-sig" if encoding == "utf-8" else encoding)
