"""Fields that are put before those of a record, whose own bytes stay as they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Raw

from elt_factory.sources.rest_api.answer import UnreadableAnswerError, first_byte, keys_of


class Fields:
    """Fields as JSON by their names.

    Args:
        values: The fields.
        where: The place in the config that names them, for messages.
    """

    def __init__(self, values: Mapping[str, bytes], where: str) -> None:
        self._where = where
        self._needles = {name: quoted(name) for name in values}
        self._head = b"{" + b",".join(self._needles[name] + b":" + value for name, value in values.items())

    def before(self, record: Raw) -> Raw:
        """Return a record with the fields; what is not an object stays a line that the contract rejects.

        Raises:
            UnreadableAnswerError: the record has a field of that name already.
        """
        if first_byte(record) != b"{":
            return record
        whole = bytes(record)
        if any(needle in whole for needle in self._needles.values()):
            for name in self._needles:
                if name in (keys_of(record) or {}):
                    raise UnreadableAnswerError(
                        f'the records have a field "{name}" themselves: rename it in {self._where}:'
                    )
        rest = whole[1:].lstrip()
        return Raw(self._head + (b"" if rest[:1] == b"}" else b",") + rest)


def quoted(text: str) -> bytes:
    """Return a text as JSON."""
    return json.dumps(text, ensure_ascii=False).encode()
