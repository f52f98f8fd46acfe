"""Which headers HTTP can carry, as far as a config says it before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from elt_factory.config.errors import KEY, MistakeError, shown

# in a value: what would end the header, and blanks that a server would take off
NOT_SENT = re.compile(r"[\0\n\r\f\v]|^[ \t]|[ \t]$")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# the same in the JSON Schema
SENT_HEADERS = {
    "properties": {
        "headers": {
            "propertyNames": {"pattern": f"^{_NAME.pattern}$"},
            "additionalProperties": {"not": {"pattern": NOT_SENT.pattern}},
        }
    }
}


def header_mistakes(headers: Mapping[str, str]) -> Iterator[MistakeError]:
    """Yield what is wrong with names and values of headers."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            hint = "use letters, digits and -, as in X-Request-Id"
            yield MistakeError(f"invalid name of a header: {shown(name)}", hint, at=(name, KEY), code="bad-name")
        if NOT_SENT.search(value):
            message = "the value of a header cannot have a line break, or a blank at an end"
            yield MistakeError(message, "write it on one line, without blanks around it", at=(name,))
