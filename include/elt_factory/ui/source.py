"""One source: its tables as the list has them, its config, what it waits for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from elt_factory.config.loading import LoadedConfig
from elt_factory.config.models.in_words import covers_words, retries_words
from elt_factory.config.models.sensors import STAGES
from elt_factory.config.models.source import Config
from elt_factory.core.project import project_root
from elt_factory.describe.effective import Setting, settings
from elt_factory.describe.words import in_yaml
from elt_factory.ui.access import Rights
from elt_factory.ui.estate import current_estate
from elt_factory.ui.graphs import waiting_graph
from elt_factory.ui.history import MOST_LOADS, covered, gaps_between, loads_of, misses_of
from elt_factory.ui.listing import usual_band
from elt_factory.ui.models import Band, ConfigAnswer, Loads, SettingRow, Source, TableRow
from elt_factory.ui.picture import current_picture
from elt_factory.ui.tables import audit_tables
from elt_factory.warehouse.base import Warehouse


def source_answer(item: LoadedConfig, readable: Collection[str], rights: Rights) -> Source:
    """Return a source as the page shows it; of other sources only those that the user may read."""
    config, now, picture = item.config, datetime.now(UTC), current_picture()
    configs = [one.config for one in current_estate().configs.values() if one.config.name in readable]
    with audit_tables() as tables:
        misses = misses_of(tables.warehouse, config.name)
    return Source(
        now=now,
        copied=picture.copied(now),
        name=config.name,
        description=config.description,
        file=_shown(item.file),
        schedule=str(config.schedule or ""),
        timezone=config.timezone,
        covers=covers_words(config),
        retries=retries_words(config),
        sensors=[
            f"{stage.replace('_', ' ')}: {one.words}" for stage in STAGES for one in getattr(config.sensors, stage)
        ],
        has_schedule=config.schedule is not None,
        scheduled=picture.scheduled,
        may_run=rights.run,
        may_edit=rights.edit,
        tables=[TableRow.model_validate_json(row) for row in picture.rows.get(config.name, ())],
        verdicts=list(picture.verdicts.get(config.name, ())),
        misses=misses,
        waiting=waiting_graph(configs, config.name, picture.worst),
    )


def loads_answer(warehouse: Warehouse, config: Config, table: str) -> Loads:
    """Return the loads of a table, and the windows that are missing between them."""
    loads = loads_of(warehouse, config.name, table, MOST_LOADS + 1)
    shown = loads[:MOST_LOADS]
    band = usual_band([(load.loaded + load.unchanged, load.failed, load.full_refresh) for load in reversed(shown[:30])])
    return Loads(
        table=table,
        timezone=config.timezone,
        loads=shown,
        gaps=gaps_between(covered(shown)) if config.timetable else [],
        band=Band(low=band[0], high=band[1]) if band else None,
        more=len(loads) > MOST_LOADS,
    )


def config_answer(item: LoadedConfig) -> ConfigAnswer:
    """Return the config in effect."""
    rows = [
        SettingRow(path=".".join(map(str, one.path)), value=in_yaml(one.value), origin=one.origin, where=_where(one))
        for one in settings(item)
    ]
    return ConfigAnswer(file=_shown(item.file), settings=rows)


def _where(setting: Setting) -> str:
    return f"{_shown(setting.position.file)}:{setting.position.line}" if setting.position else "default"


def _shown(file: Path) -> str:
    """Return a file's place in the project."""
    root = project_root()
    return str(file.relative_to(root)) if file.is_relative_to(root) else file.name
