"""`elt docs`: the documentation of all pipelines as a static site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elt_factory.cli.output import errors, fail, no_configs, say, short, silence
from elt_factory.config.loading import load_folder
from elt_factory.config.models.source import Config
from elt_factory.core.project import config_folder, dbt_folder, project_root

if TYPE_CHECKING:
    from elt_factory.describe.dictionary import Found
    from elt_factory.describe.models import Models

DEFAULT_FOLDER = Path("build") / "docs"


def docs(
    out: Annotated[Path | None, typer.Option(help="Output folder. Default: build/docs.")] = None,
    from_warehouse: Annotated[
        bool, typer.Option("--warehouse", help="Include the columns of the tables in the warehouse.")
    ] = False,
) -> None:
    """Write a static site: a page per pipeline, a data dictionary, lineage pictures."""
    from elt_factory.describe.site import Estate, site

    if not config_folder().is_dir():
        fail(no_configs())
    folder = load_folder(config_folder())
    for error in folder.errors.values():
        errors.print(str(error), style="red", markup=False, highlight=False)
    configs = [item.config for item in folder.configs]
    estate = Estate(configs, _models(configs), _in_warehouse(configs) if from_warehouse else {})
    target = out or project_root() / DEFAULT_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name, text in site(estate).items():
        (target / name).write_text(text, encoding="utf-8")
    say(f"Wrote the documentation of {len(configs)} pipelines to {short(target / 'index.html')}")
    if folder.errors:
        raise typer.Exit(1)


def _models(configs: Sequence[Config]) -> Models:
    """Return the dbt models; none, and a word about it, where the manifest is missing or a selector is wrong."""
    from elt_factory.cli.local import use_local_airflow
    from elt_factory.core.failures import EltError
    from elt_factory.describe.models import Models, models_of, read_models

    # models are selected as Airflow's DAGs do it, with the same code
    use_local_airflow()
    relations = read_models(dbt_folder() / "target" / "manifest.json")
    found: dict[str, tuple[str, ...]] = {}
    for config in configs:
        try:
            with silence():
                found[config.name] = models_of(config, dbt_folder())
        except EltError as error:
            errors.print(f"{config.name}: models skipped: {error}", style="yellow", markup=False)
    return Models(relations, found)


def _in_warehouse(configs: Sequence[Config]) -> Found:
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    from elt_factory.dag.runtime import warehouse
    from elt_factory.warehouse.dialect import Relation

    with warehouse() as opened:
        return {
            (config.name, name): opened.columns(Relation.of(config.name, name, table)) or {}
            for config in configs
            for name, table in config.all_tables.items()
        }
