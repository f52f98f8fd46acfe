"""What a warehouse is asked to load: a landing, and what the YAML says of how it is to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from elt_factory.config.models.deletes import Deletes
from elt_factory.config.models.reject_limit import RejectLimit
from elt_factory.config.models.source import Source
from elt_factory.config.models.table import WriteDisposition
from elt_factory.config.models.values import ColumnType
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.places import Place
from elt_factory.warehouse import ledger, statements
from elt_factory.warehouse.deletes import OWN_COLUMN as OF_DELETES
from elt_factory.warehouse.dialect import Relation, TableOptions


@dataclass(frozen=True)
class LoadOrder:
    """A landing and how it is to be written. `landing` is the place of the load's attempts.

    `by_cursor` says that the source was read by the table's cursor, a number from where it was, and `by_window` that
    it was read for the window alone. `clock` is the zone of the clock that a cursor without a zone has.
    `deletes` says how rows are found that the source has deleted, `limit` how many rows may be rejected.
    `drops` says that the source sends more than the window, and that no other row of it is taken.
    `retypes` are the columns which a full refresh gives the type that the YAML says, whatever they were.
    """

    manifest: Manifest
    landing: Place
    target: Relation
    write_disposition: WriteDisposition
    primary_key: tuple[str, ...]
    run_id: str
    full_refresh: bool = False
    options: TableOptions = field(default_factory=TableOptions)
    by_cursor: bool = False
    by_window: bool = False
    clock: str = "UTC"
    deletes: Deletes | None = None
    limit: RejectLimit | None = None
    retypes: frozenset[str] = frozenset()
    drops: bool = False

    @classmethod
    def of(
        cls, config: Source, table: str, manifest: Manifest, landing: Place, run_id: str, *, full_refresh: bool = False
    ) -> Self:
        """Return the order for a landing of a config's table."""
        spec = config.all_tables[table]
        return cls(
            manifest=manifest,
            landing=landing,
            target=Relation(config.name, table),
            write_disposition=spec.write_disposition,
            primary_key=spec.primary_key,
            run_id=run_id,
            full_refresh=full_refresh,
            options=TableOptions.of(spec),
            by_cursor=spec.counts_on,
            by_window=spec.takes_window or (spec.asks_by_cursor and spec.incremental is not None),
            clock=spec.cursor_zone or config.timezone,
            deletes=spec.follows_deletes,
            limit=spec.rejects,
            retypes=frozenset(name for name, column in spec.columns.items() if column.type or column.pii == "hash")
            if full_refresh
            else frozenset(),
            drops=bool(spec.leaves_out),
        )

    @property
    def label(self) -> str:
        """source.table, for messages."""
        return f"{self.manifest.source}.{self.manifest.table}"

    @property
    def starts_over(self) -> bool:
        """Whether the rows take the place of all that the table has."""
        return self.full_refresh or self.write_disposition == "replace"

    @property
    def only_rejects(self) -> bool:
        """Whether rows were read and none of them is good."""
        return self.manifest.rows == 0 and self.manifest.rows_rejected > 0

    @property
    def too_many_rejects(self) -> bool:
        """Whether nothing is loaded, since no row is good or more are rejected than the limit allows."""
        manifest = self.manifest
        if manifest.replays:
            return False
        allowed = self.limit is None or self.limit.allows(manifest.rows_rejected, manifest.rows_read)
        return self.only_rejects or not allowed

    @property
    def landed_columns(self) -> dict[str, ColumnType]:
        """The landing's columns and their types."""
        return {column.name: column.column_type for column in self.manifest.columns}

    @property
    def staged_columns(self) -> dict[str, ColumnType]:
        """The columns of the landed files: rows of a source's files also say from which."""
        return {**self.landed_columns, **(ledger.OWN_COLUMN if self.manifest.ledger else {})}

    @property
    def key_columns(self) -> dict[str, ColumnType]:
        """The columns of the landed keys."""
        return {column.name: column.column_type for column in self.manifest.key_columns}

    @property
    def own_columns(self) -> dict[str, ColumnType]:
        """ELT Factory's own columns in the target."""
        by_file = self.write_disposition == "append" and self.manifest.ledger is not None
        soft = self.deletes is not None and self.deletes.compare == "soft"
        more = {**(ledger.OWN_COLUMN if by_file else {}), **(OF_DELETES if soft else {})}
        return {**_own_columns(self.write_disposition), **more}


def _own_columns(disposition: WriteDisposition) -> Mapping[str, ColumnType]:
    """ELT Factory's own columns in a table of that disposition."""
    return {**statements.OWN_COLUMNS, **(statements.VALIDITY if disposition == "scd2" else {})}
