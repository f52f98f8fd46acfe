"""What is sent with a request, next to its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Sending:
    """The method, and for POST the body with its type; headers of this request alone."""

    method: str = "GET"
    content: bytes | None = field(default=None, repr=False)
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def own_headers(self) -> Mapping[str, str]:
        """The headers of this request."""
        return {**({"Content-Type": self.content_type} if self.content_type else {}), **self.headers}


GET = Sending()
