"""Whether the end of the pages was the end of the records: what all answers together say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from elt_factory.sources.rest_api.paginators import Ask, Page
from elt_factory.sources.rest_api.paging_model import Paginator
from elt_factory.sources.rest_api.signs import Signs, contradiction, full_by, never_there, path_of, signs_of
from elt_factory.sources.rest_api.walk import Walk


@dataclass(frozen=True)
class Verdict:
    """What speaks against the end of the pages, how to fix it, and whether the load fails for it."""

    text: str = ""
    hint: str = ""
    fails: bool = False


class Proof:
    """Keeps of all pages what reports whether they are all."""

    def __init__(self, model: Paginator) -> None:
        self._model = model
        self._first: Signs | None = None
        self._last: tuple[Ask, Page] | None = None
        self._with_path = 0

    def see(self, asked: Ask, page: Page) -> None:
        """Take a page into account."""
        # of the first page what it says is kept, and not its records
        self._first = self._first or signs_of(page.document, page.records_path)
        self._last = asked, page
        path = path_of(self._model)
        if path is not None and page.document.keys is not None and page.document.find(path) is not None:
            self._with_path += 1

    def of_end(self, walk: Walk, params: Mapping[str, object], incomplete: Literal["fail", "warn"]) -> Verdict:
        """Return the verdict on the end of a walk that was made with these parameters."""
        if self._first is None or self._last is None:
            return Verdict()
        asked, last = self._last
        against = contradiction(self._model, asked, self._first, last, (walk.rows, walk.fresh))
        nowhere = never_there(self._model, self._with_path, walk.rows)
        full = full_by(params, last.records) if nowhere or against else ""
        if against or (nowhere and full):
            text = against or f"{nowhere}; the page is full, according to {full}"
            hint = "check paginator: and records:; if the response is wrong, incomplete: warn loads what was read"
            return Verdict(text, hint, incomplete == "fail")
        return Verdict(nowhere)
