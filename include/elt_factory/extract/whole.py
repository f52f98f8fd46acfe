"""An answer as a whole, before any of its records counts: is it JSON, is it complete, is it the answer itself."""

from __future__ import annotations

from collections.abc import Mapping

from elt_factory.extract.answer import Document, parse
from elt_factory.extract.body import Body
from elt_factory.extract.damage import DamagedAnswerError, NotReadyAnswerError, UnreadableAnswerError

_ACCEPTED, _EMPTY, _PARTIAL = 202, (204, 205), 206
_HTML = ("text/html", "application/xhtml+xml")


def parse_answer(status: int, headers: Mapping[str, str], body: Body) -> Document:
    """The JSON of an answer.

    Raises:
        NotReadyAnswerError: the server will have it later (202).
        DamagedAnswerError: it is empty, cut off, or the web page of something in between.
        UnreadableAnswerError: it is something else than JSON.
    """
    if status == _ACCEPTED:
        raise NotReadyAnswerError("the server has accepted the request and has no records yet (status 202)")
    if status == _PARTIAL:
        raise UnreadableAnswerError("the answer is a part of the data only (status 206)")
    head = bytes(body[:100]).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head and not bytes(body).strip():
        text = f"the answer is empty (status {status})"
        raise UnreadableAnswerError(text) if status in _EMPTY else DamagedAnswerError(text)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if head[:1] == b"<" or (kind in _HTML and head[:1] not in (b"{", b"[")):
        excerpt = head.decode(errors="replace")[:80]
        raise DamagedAnswerError(f"the answer is no JSON object or list but a web page: {excerpt}")
    return parse(body)
