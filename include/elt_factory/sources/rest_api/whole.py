"""An answer as a whole, before any of its records counts: is it JSON, is it complete, is it the answer itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, first_byte, keys_of, parse
from elt_factory.sources.rest_api.body import Body
from elt_factory.sources.rest_api.charset import in_utf8
from elt_factory.sources.rest_api.damage import DamagedAnswerError, NotReadyAnswerError, UnreadableAnswerError

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.exchange import Answer

_ACCEPTED, _EMPTY, _PARTIAL = 202, (204, 205), 206
_HTML = ("text/html", "application/xhtml+xml")
_EXCERPT, _HEAD = 120, 100
_SUCCESS = ("ok", "success", "successful")
_ERRORS = ("error", "errors")
_TIMED_OUT = ("timed_out", "timedout")
# what GitHub's search and Google Drive say of an answer that lacks records; BigQuery says the opposite
_INCOMPLETE = (("incomplete_results", b"true"), ("incompleteSearch", b"true"), ("jobComplete", b"false"))
# errors where records should be and are not; a record by itself may have such a field
_LIKE_ERRORS = (
    "errorcode",
    "error_code",
    "errormessage",
    "error_message",
    "error_description",
    "errmsg",
    "fault",
    "faultstring",
)
_NO = (b"false", b'"false"', b"0")
_NOTHING = (b"null", b"false", b'""', b"0", b"[]", b"{}")
_FINE = (b'"0"', *(f'"{word}"'.encode() for word in _SUCCESS))
_NO_ERROR = frozenset(
    {*_SUCCESS, "", "0", "200", "none", "no", "noerror", "noerrors", "nothing", "false", "null", "na"}
)
_CODES = frozenset({"code", "errorcode", "error_code", "status"})
_SIGNS = re.compile(r"[^a-z0-9]")
_FAILED = (b'"error"', b'"fail"', b'"failed"', b'"failure"')
# an answer with nothing but these is the text of an error, whatever its status says
_WORDS = frozenset({"message", "msg", "detail"})
_ABOUT = _WORDS | {"details", "code", "status", "statuscode", "documentation_url", "request_id", "requestid"}


def parse_answer(status: int, headers: Mapping[str, str], body: Body) -> Document:
    """Return the JSON of an answer, whatever its status says.

    Raises:
        DamagedAnswerError: it is empty, cut off, or the web page of something in between.
        UnreadableAnswerError: it is something else than JSON.
    """
    body = in_utf8(headers, body)
    head = bytes(body[:_HEAD]).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head and not bytes(body).strip():
        text = f"empty response (status {status})"
        raise UnreadableAnswerError(text) if status in _EMPTY else DamagedAnswerError(text)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if head[:1] == b"<" or (kind in _HTML and head[:1] not in (b"{", b"[")):
        begins = head.decode(errors="replace")[:80]
        raise DamagedAnswerError(f"expected a JSON object or list, got a web page: {begins}")
    return parse(body)


def check_file(answer: Answer) -> None:
    """Refuse an answer that cannot be a file of data.

    Raises:
        NotReadyAnswerError: the server will have it later (202).
        DamagedAnswerError: it is the web page of something in between.
        UnreadableAnswerError: it holds only a part (206).
    """
    check_status(answer.status)
    head = bytes(answer.body[:_HEAD]).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        raise DamagedAnswerError(f"expected a file, got a web page: {head.decode(errors='replace')[:80]}")


def check_status(status: int) -> None:
    """Refuse an answer whose status says that it has no records, or not all of them.

    Raises:
        NotReadyAnswerError: the server will have them later (202).
        UnreadableAnswerError: it holds only a part (206).
    """
    if status == _ACCEPTED:
        raise NotReadyAnswerError("the server accepted the request but has no records yet (status 202)")
    if status == _PARTIAL:
        raise UnreadableAnswerError("the response holds only part of the data (status 206)")


def refuse_failure(document: Document, records: str | None, columns: Collection[str]) -> None:
    """Refuse an answer that has a status of success and says that it failed.

    Where the whole answer is one record, a key that the table declares as a column is data.

    Raises:
        UnreadableAnswerError: it says so.
    """
    if document.keys is None:
        return
    own = frozenset(columns) if records is None else frozenset[str]()
    keys = {name.casefold(): raw for name, raw in document.keys.items() if name not in own}
    no_records = records is None or _is_nothing(document.find(records))
    said = _says_no(keys) or _holds_error(keys, no_records)
    if records is not None:
        said = said or _is_partial(keys)
    if not said and no_records:
        said = _status_failed(keys) if own and not own.isdisjoint(document.keys) else _only_words(keys)
        if records is not None:
            said = said or _status_failed(keys) or _like_error(keys)
    if said:
        raise UnreadableAnswerError(f"the response reports a failure ({said}): {_begins(document)}")


def says_incomplete(document: Document, records: str | None) -> str:
    """Return what an answer says of records that it lacks; empty text where it says nothing, or is itself a record."""
    keys = document.keys if records is not None and document.keys is not None else {}
    name, value = next(((name, value) for name, value in _INCOMPLETE if bytes(keys.get(name, b"")) == value), ("", b""))
    return name and f'"{name}" in the response is {value.decode()}: it lacks records'


def _says_no(keys: Mapping[str, Raw]) -> str:
    return next((f"{name} is false" for name in _SUCCESS if name in keys and bytes(keys[name]) in _NO), "")


def _holds_error(keys: Mapping[str, Raw], no_records: bool) -> str:
    for name in _ERRORS:
        raw = keys.get(name)
        # GraphQL sends errors next to a part of the data; next to records a word or a code may say that there is none
        if raw is not None and not _is_nothing(raw) and (no_records or not _is_harmless(raw)):
            return name
    return ""


def _is_harmless(raw: Raw) -> bool:
    """Whether what an answer has as its error says that there is none, as `none`, or `{"code": "ok"}`."""
    keys = keys_of(raw)
    if keys is None:
        # a number may count them, or be a code that means as much
        return first_byte(raw).isdigit() or _is_no_error(raw)
    codes = [code for name, code in keys.items() if name.lower() in _CODES]
    return all(map(_is_no_error, codes or keys.values()))


def _is_no_error(raw: Raw) -> bool:
    return _is_nothing(raw) or _SIGNS.sub("", bytes(raw).decode(errors="replace").lower()) in _NO_ERROR


def _is_partial(keys: Mapping[str, Raw]) -> str:
    """Return what says that the records are some of those that the server should have sent: Elasticsearch's words."""
    timed_out = next((name for name in _TIMED_OUT if bytes(keys.get(name, Raw(b""))) == b"true"), "")
    failed = (keys_of(keys["_shards"]) or {}).get("failed") if "_shards" in keys else None
    return timed_out or ("_shards.failed" if failed is not None and not _is_nothing(failed) else "")


def _only_words(keys: Mapping[str, Raw]) -> str:
    names = keys.keys()
    return ", ".join(names) if not names.isdisjoint(_WORDS) and names <= _ABOUT else ""


def _status_failed(keys: Mapping[str, Raw]) -> str:
    return "status" if bytes(keys.get("status", Raw(b""))).lower() in _FAILED else ""


def _like_error(keys: Mapping[str, Raw]) -> str:
    found = {name: raw for name in _LIKE_ERRORS if (raw := keys.get(name)) is not None}
    return next((name for name, raw in found.items() if not _is_nothing(raw) and bytes(raw).lower() not in _FINE), "")


def _is_nothing(raw: Raw | None) -> bool:
    return raw is None or b"".join(bytes(memoryview(raw)[:_HEAD]).split()) in _NOTHING


def _begins(document: Document) -> str:
    return " ".join(bytes(document.body[:_EXCERPT]).decode(errors="replace").split())
