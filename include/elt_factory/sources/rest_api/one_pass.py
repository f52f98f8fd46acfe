"""An object taken apart together with the list of records in it, so that its bytes are read once and not twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.body import Body

KEYS = msgspec.json.Decoder(dict[str, Raw])
LEAST_BYTES = 64 * 1024  # two passes over less than that cost no more than to look where the list is
_HEAD, _MOST_LISTS = 4096, 8
_MOST_AROUND = 1024 * 1024  # what is around the records is copied
_LIST = re.compile(rb"\[\s*[\[{]")


class Listed(NamedTuple):
    """A list, and what is in it."""

    whole: Raw | Body
    items: Sequence[Raw]


class _Answer(Protocol):
    records: Sequence[Raw]


def taken_apart(body: Body) -> tuple[Mapping[str, Raw], Listed] | None:
    """Return the values of an object and the elements of the list that is one of them; None where two passes are due.

    Its head says which key has a list of objects, or of lists. Where that guess is wrong, and where anything is wrong
    with the answer, it is for two passes to say so.
    """
    if len(body) < LEAST_BYTES or (name := _likely(bytes(body[:_HEAD]))) is None:
        return None
    try:
        items = _decoder(name).decode(body).records
        return _with_keys(body, name, items) if items else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _likely(head: bytes) -> str | None:
    """Return the last key of the object itself, not of one in it, that begins such a list within its head."""
    heads = (head[: found.start()].rsplit(b'"', 2) for found in islice(_LIST.finditer(head), _MOST_LISTS))
    names = [before[1].decode() for before in heads if _is_of_top(before)]
    return names[-1] if names and names[-1].isprintable() else None


def _is_of_top(before: Sequence[bytes]) -> bool:
    """Whether what is before a list, its key and a colon, seems to be within the first brace and nothing else."""
    above, name, colon = before if len(before) == 3 else (b"", b"", b"")  # noqa: PLR2004
    closed = above.count(b"{") - above.count(b"}") == 1 and above.count(b"[") == above.count(b"]")
    return closed and colon.strip() == b":" and b"\\" not in name


@lru_cache(maxsize=64)
def _decoder(name: str) -> msgspec.json.Decoder[_Answer]:
    # other keys are checked as they are passed over
    kind = msgspec.defstruct("Answer", [("records", list[Raw])], rename={"records": name})
    return msgspec.json.Decoder(kind)


def _with_keys(body: Body, name: str, items: Sequence[Raw]) -> tuple[Mapping[str, Raw], Listed] | None:
    start, end = _place(items[0], body), _place(items[-1], body) + len(memoryview(items[-1]))
    if not 0 <= start < end <= len(body) or len(body) - (end - start) > _MOST_AROUND:
        return None
    keys = KEYS.decode(bytes(body[:start]) + bytes(body[end:]))
    # between its brackets and its elements there are only spaces
    whole = Raw(memoryview(body)[body.rfind(b"[", 0, start) : body.find(b"]", end) + 1])
    keys[name] = whole
    return keys, Listed(whole, items)


def _place(raw: Raw, body: Body) -> int:
    """Return where a value begins, whose bytes are those of the body itself."""
    import numpy as np

    address, begin = (np.frombuffer(buffer, np.uint8).__array_interface__["data"][0] for buffer in (raw, body))
    return int(address - begin)
