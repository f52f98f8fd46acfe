"""The state of every table in one word, for lists: `elt status`, the page, monitoring.

The contract:

- `gather(here())` (module `gather`) returns the `Facts` of all tables; a config that cannot be read and one without
  tables, a transform across sources, have one entry with `table == ""`. It takes `names` to limit it.
- `overview(facts)` returns one `TableState` for each entry, in the same order.
- `state` is one of `verdict.STATES`: fresh, late, failing, rejecting, waiting, paused, never loaded.
- The state follows from the verdict: `verdict.code` says why, and `elt diagnose` shows all of it. So a list, the page
  and a diagnosis can never disagree.
- `health(states)` is one figure for monitoring: "ok", "warning" or "error", with the number of tables in each state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from elt_factory.diagnosis.facts import Facts
from elt_factory.diagnosis.rules.data import lag_of
from elt_factory.diagnosis.verdict import STATES, State, Verdict
from elt_factory.diagnosis.verdicts import diagnose

Health = Literal["ok", "warning", "error"]
_HEALTH: Mapping[State, Health] = {
    "failing": "error",
    "rejecting": "error",
    "late": "warning",
    "waiting": "ok",
    "never loaded": "warning",
    "paused": "ok",
    "fresh": "ok",
}
_SAID: tuple[Health, ...] = ("error", "warning", "ok")


@dataclass(frozen=True)
class TableState:
    """A line of a list: the word, the sentence, and the figures that are shown next to them.

    `lag_seconds` is how far the newest business date is behind the end of the last window, `age_seconds` how long ago
    the table was loaded, `late_seconds` how long the window that should be there is overdue.
    """

    source: str
    table: str
    state: State
    code: str
    sentence: str
    next: str
    owner: str
    loaded_at: datetime | None
    loaded_up_to: datetime | None
    business_date: datetime | None
    due: datetime | None
    rows: int | None
    open_rejects: int
    age_seconds: float | None
    lag_seconds: float | None
    late_seconds: float
    verdict: Verdict

    @property
    def label(self) -> str:
        """The table's full name."""
        return f"{self.source}.{self.table}" if self.table else self.source


def overview(found: Iterable[Facts]) -> list[TableState]:
    """Return the state of every table."""
    return [state_of(facts) for facts in found]


def state_of(facts: Facts) -> TableState:
    """Return the state of one table."""
    verdict, newest, lag = diagnose(facts), facts.newest, lag_of(facts)
    return TableState(
        source=facts.source,
        table=facts.table,
        state=verdict.state,
        code=verdict.code,
        sentence=verdict.sentence,
        next=verdict.next,
        owner=facts.config.owner if facts.config else "",
        loaded_at=newest.loaded_at if newest else None,
        loaded_up_to=facts.loaded_up_to,
        business_date=facts.business_date,
        due=facts.due,
        rows=facts.rows,
        open_rejects=sum(reject.rows for reject in facts.rejects),
        age_seconds=(facts.now - newest.loaded_at).total_seconds() if newest else None,
        lag_seconds=lag.total_seconds() if lag is not None else None,
        late_seconds=facts.late_by.total_seconds(),
        verdict=verdict,
    )


def worst_first(states: Iterable[TableState]) -> list[TableState]:
    """Return the states with those first that need someone most."""
    return sorted(states, key=lambda one: (STATES.index(one.state), one.source, one.table))


def health(states: Sequence[TableState]) -> dict[str, Any]:
    """Return one figure for monitoring: the worst of all tables, and how many are in each state."""
    found = {_HEALTH[one.state] for one in states}
    status = next((one for one in _SAID if one in found), "ok")
    counts = Counter(one.state for one in states)
    return {
        "status": status,
        "tables": len(states),
        "states": {state: counts.get(state, 0) for state in STATES},
        "open_rejects": sum(one.open_rejects for one in states),
        "max_late_seconds": max((one.late_seconds for one in states), default=0.0),
        "max_lag_seconds": max((one.lag_seconds or 0.0 for one in states), default=0.0),
        "max_age_seconds": max((one.age_seconds or 0.0 for one in states), default=0.0),
    }
