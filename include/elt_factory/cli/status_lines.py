"""The lines of `elt status`: what the audit tables count of a table, and the state that follows from all facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elt_factory.warehouse.state import TableStatus

if TYPE_CHECKING:
    from elt_factory.diagnosis.acknowledged import Said
    from elt_factory.diagnosis.states import TableState

_OF_STATE = ("state", "code", "sentence", "next", "owner", "due", "open_rejects")
_SECONDS = ("age_seconds", "lag_seconds", "late_seconds")


@dataclass(frozen=True)
class StatusLine:
    """A table: `loads` is None where it was never loaded, `state` where no config loads it any more."""

    label: str
    loads: TableStatus | None
    state: TableState | None
    said: Said | None = None  # who takes care of what is wrong with it

    @property
    def business_date(self) -> str | None:
        """The newest business date of the table as it is; by its loads where no config says which column it is."""
        if self.state is not None and self.state.business_date is not None:
            return self.state.business_date.isoformat()
        return self.loads.last_business_date if self.loads else None

    def entry(self) -> dict[str, Any]:
        """Return the line for machines."""
        source, _, table = self.label.partition(".")
        figures = dict.fromkeys(TableStatus.__annotations__) | {"source": source, "table": table}
        if self.loads is not None:
            figures |= asdict(self.loads)
        names = (*_OF_STATE, *_SECONDS)
        figures |= {name: getattr(self.state, name, None) for name in names} | {"business_date": self.business_date}
        said = self.said
        return figures | {"acknowledged": {"who": said.who, "at": said.at, "why": said.why} if said else None}


def status_lines(
    loads: Sequence[TableStatus], states: Sequence[TableState], said: Mapping[tuple[str, str], Said]
) -> list[StatusLine]:
    """Return a line for each table that was ever loaded or that a config loads, and for each config that is broken."""
    found = {f"{entry.source}.{entry.table}": entry for entry in loads}
    known = {state.label: state for state in states if state.table or state.code == "broken-yaml"}
    by_label = {f"{source}.{table}" if table else source: one for (source, table), one in said.items()}
    return [
        StatusLine(label, found.get(label), known.get(label), by_label.get(label)) for label in sorted({*found, *known})
    ]
