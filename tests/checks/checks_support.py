"""A table that is loaded window by window and checked after each."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from elt_factory.checks.kind import CheckRequest
from elt_factory.checks.run import Result, run_checks
from elt_factory.core.window import Window, load_id
from elt_factory.extract.request import Spool
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.files.model import FilesSource
from elt_factory.warehouse.base import LoadOrder, Warehouse
from elt_factory.warehouse.dialect import Relation


def day(number: int) -> Window:
    start = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number - 1)
    return Window(start, start + timedelta(days=1))


@dataclass(frozen=True)
class Checked:
    warehouse: Warehouse
    config: FilesSource
    base: Path
    numbers: ClassVar[itertools.count] = itertools.count()

    def load(
        self,
        records: Sequence[Mapping[str, Any]],
        window: Window | None = None,
        *,
        run_id: str = "run",
        full_refresh: bool = False,
    ) -> LoadOrder:
        window = window or day(1)
        target, table = Relation("src", "tab"), self.config.tables["tab"]
        folder = self.base / str(next(self.numbers))
        folder.mkdir(parents=True)
        file = folder / "records.ndjson"
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
        known = KnownTable.of(self.config, "tab", self.warehouse.columns(target))
        load = load_id("src", "tab", window)
        spool = Spool("ndjson", (file,), len(records))
        place = LocalPlace(folder / "landing")
        manifest = land(LandRequest(known, window, load, spool, place, folder, print))
        disposition, keys = table.write_disposition, table.primary_key
        order = LoadOrder(manifest, place, target, disposition, keys, run_id, full_refresh)
        self.warehouse.load(order)
        return order

    def request(self, window: Window | None = None) -> CheckRequest:
        window = window or day(1)
        return CheckRequest(self.config, "tab", load_id("src", "tab", window), window)

    def check(self, window: Window | None = None) -> list[Result]:
        return run_checks(self.warehouse, self.request(window))

    def one(self, name: str, window: Window | None = None) -> Result:
        return next(result for result in self.check(window) if result.check == name)
