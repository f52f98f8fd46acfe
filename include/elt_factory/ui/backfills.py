"""What a backfill would load, from the code of `elt backfill`: the page starts the runs that this names, no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from elt_factory.config.models.source import Config
from elt_factory.core.window import Window
from elt_factory.describe.backfills import KnownStep, conf_of, known_of, preview_of, steps_of, tables_of
from elt_factory.describe.windows import in_zone
from elt_factory.ui.models import Backfill, BackfillWindow
from elt_factory.ui.tables import audit_tables
from elt_factory.warehouse.past_loads import PastLoad, PastRun

_MOST = 1000  # windows: of more the command line is the better place


def backfill_answer(config: Config, first: date, last: date) -> Backfill:
    """Return the runs of a backfill of days of the config's zone, the last of them included."""
    with audit_tables() as tables:
        known = known_of(tables.warehouse, config)
    # others wait for the audit tables: what follows may take a second
    return _answer(config, first, last, known)


def _answer(
    config: Config, first: date, last: date, known: tuple[Sequence[PastLoad], Mapping[str, PastRun]]
) -> Backfill:
    tables = tables_of(config)
    try:
        within = Window(in_zone(str(first), config), in_zone(str(last + timedelta(days=1)), config))
        steps = steps_of(config, tables, within, None, datetime.now(UTC), _MOST)
        found = preview_of(config, steps, *known).steps
    except (ValueError, OverflowError) as error:
        return Backfill(timezone=config.timezone, windows=[], never=dict(tables.never), why=str(error))
    windows = [_window(config, one) for one in found]
    why = "" if windows else "no table of it can be backfilled"
    return Backfill(timezone=config.timezone, windows=windows, never=dict(tables.never), why=why)


def _window(config: Config, one: KnownStep) -> BackfillWindow:
    return BackfillWindow(
        start=one.step.window.start,
        end=one.step.window.end,
        tables=list(one.step.tables),
        loaded=one.loaded,
        rows=one.estimate.rows,
        seconds=one.estimate.seconds,
        conf=conf_of(config, one.step),
    )
