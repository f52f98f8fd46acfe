"""JSON in another encoding than UTF-8: known by its first bytes, or by what the server says and the bytes bear out."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from elt_factory.sources.rest_api.body import Body
from elt_factory.sources.rest_api.damage import UnreadableAnswerError

# the longer marks come first: that of UTF-32 begins as that of UTF-16 does
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8 = ("", "utf-8", "ascii")


def in_utf8(headers: Mapping[str, str], body: Body) -> Body:
    """Return the body of an answer in UTF-8.

    Raises:
        UnreadableAnswerError: it is not text in the encoding that it says.
    """
    encoding = _marked(bytes(body[:4])) or _declared(headers)
    if not encoding:
        return body
    whole = bytes(body)
    if not encoding.startswith("utf-") and _is_utf8(whole):
        # many servers say latin-1 by habit; text that is UTF-8 by chance is rarer than that
        return body
    try:
        return whole.decode(encoding).encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise UnreadableAnswerError(f"the response is not {encoding}, as it says it is: {error.reason}") from None


def _marked(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # JSON begins with two characters of ASCII, so a zero byte says how wide they are
    if len(head) < 4 or 0 not in head:  # noqa: PLR2004
        return ""
    return {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get((head[0] == 0, head[1] == 0), "")


def _declared(headers: Mapping[str, str]) -> str:
    """Return the encoding that the server names, unless it is UTF-8 or unknown."""
    for part in headers.get("content-type", "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            try:
                found = codecs.lookup(value.strip().strip("\"'")).name
            except LookupError:
                return ""
            return "" if found in _UTF8 else found
    return ""


def _is_utf8(whole: bytes) -> bool:
    try:
        whole.decode()
    except UnicodeDecodeError:
        return False
    return True
