"""The documentation of all pipelines as a small static site: an overview, a page for each config, all columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from elt_factory.config.models.in_words import (
    alerts_words,
    covers_words,
    deadline_words,
    retries_words,
)
from elt_factory.config.models.limits import duration_words
from elt_factory.config.models.source import Config, TransformOnly
from elt_factory.describe import html
from elt_factory.describe.dictionary import Entry, Found, entries
from elt_factory.describe.html import Html
from elt_factory.describe.lineage import lineage_svg
from elt_factory.describe.models import Models
from elt_factory.describe.words import in_yaml

_KINDS = {"rest_api": "JSON API", "sql": "SQL database", "files": "files"}
_STAGES = (("before_extract", "before extract"), ("before_transform", "before transform"))


@dataclass(frozen=True)
class Estate:
    """Everything that is documented: the configs, the dbt models, and the columns that the warehouse has."""

    configs: Sequence[Config]
    models: Models = field(default_factory=Models)
    found: Found = field(default_factory=dict)

    @property
    def menu(self) -> list[tuple[str, str]]:
        """The pages after the overview."""
        return [("dictionary.html", "Data dictionary"), *((f"{c.name}.html", c.name) for c in self.configs)]


def site(estate: Estate) -> Mapping[str, str]:
    """Return the files of the site, by name."""
    pages = {f"{config.name}.html": _page(config, estate) for config in estate.configs}
    return {"index.html": _overview(estate), "dictionary.html": _dictionary(estate), "style.css": html.STYLE, **pages}


def _overview(estate: Estate) -> str:
    rows = [
        (
            html.link(f"{config.name}.html", config.name),
            config.description,
            html.joined([_schedule(config)]),
            deadline_words(config),
            config.owner,
            ", ".join(config.all_tables),
            ", ".join(estate.models.relations[model].name for model in estate.models.of_config.get(config.name, ())),
        )
        for config in estate.configs
    ]
    body = [
        html.table(("pipeline", "description", "runs", "deadline", "owner", "tables", "models"), rows),
        Html("<br>"),
        html.picture(lineage_svg("Lineage", estate.configs, estate.models, estate.configs)),
    ]
    count = len(estate.configs)
    lead = f"{count} pipeline{'' if count == 1 else 's'}, each described by one YAML file."
    return html.page("Data pipelines", lead, body, estate.menu, "index.html")


def _dictionary(estate: Estate) -> str:
    rows = [
        (html.link(f"{config.name}.html#{table}", f"{config.name}.{table}"), *_cells(entry))
        for config in estate.configs
        for table in config.all_tables
        for entry in entries(config, table, estate.models, estate.found)
    ]
    body = [html.table(("table", *_COLUMN_HEADS), rows)]
    lead = "Every declared column. Other columns are inferred from the data and added."
    return html.page("Data dictionary", lead, body, estate.menu, "dictionary.html")


def _page(config: Config, estate: Estate) -> str:
    body = [
        html.facts(_specification(config)),
        Html("<br>"),
        html.picture(lineage_svg(f"Lineage of {config.name}", estate.configs, estate.models, [config])),
        *_tables(config, estate),
        *_models(config, estate.models),
    ]
    return html.page(config.name, config.description, body, estate.menu, f"{config.name}.html")


def _specification(config: Config) -> Iterator[tuple[str, str]]:
    yield "owner", config.owner
    yield "runs", html.joined([_schedule(config)])
    yield "covers", covers_words(config)
    yield "deadline", deadline_words(config)
    yield "source", _source(config)
    for stage, words in _STAGES:
        yield f"waits {words}", html.bullets([sensor.words for sensor in getattr(config.sensors, stage)])
    if config.transform.dbt:
        yield "transforms with dbt", html.code(config.transform.dbt.select)
    if config.all_tables:
        yield "destination", html.joined(["schema", html.code(config.name), "of the warehouse"])
    yield "trigger form params", html.code(in_yaml(dict(config.params))) if config.params else ""
    yield "retries", retries_words(config)
    yield "alerts", alerts_words(config)
    yield "tags", html.joined([html.tag(tag) for tag in config.tags])


def _schedule(config: Config) -> Html:
    if config.schedule is None:
        return Html("manual")
    return html.joined([html.code(str(config.schedule)), config.timezone])


def _source(config: Config) -> str:
    if isinstance(config, TransformOnly):
        return "other pipelines"
    kind = _KINDS.get(config.extract.type, config.extract.type)
    connection = config.extract.connection
    return html.joined([f"{kind} behind the connection", html.code(connection)]) if connection else kind


def _tables(config: Config, estate: Estate) -> Iterator[Html]:
    if config.all_tables:
        yield html.heading("Tables")
    for name, spec in config.all_tables.items():
        yield html.heading(f"{config.name}.{name}", name, level=3)
        yield Html(f"<p>{html.put(spec.description)}</p>") if spec.description else Html("")
        yield html.facts(_table_facts(config, name))
        rows = [_cells(entry) for entry in entries(config, name, estate.models, estate.found)]
        if rows:
            yield Html("<br>")
            yield html.table(_COLUMN_HEADS, rows)


def _table_facts(config: Config, name: str) -> Iterator[tuple[str, str]]:
    spec = config.all_tables[name]
    yield "written by", spec.write_disposition
    yield "key", ", ".join(spec.primary_key)
    incremental = spec.incremental
    if incremental:
        back = str(incremental.number_lag) if incremental.number_lag else duration_words(incremental.time_lag)
        lag = f", reading {back} back" if incremental.lag else ""
        yield "incremental by", f"{incremental.cursor}{lag}"
    yield "business date", spec.business_date or ""
    yield "contract", spec.schema_contract.replace("_", " ")
    origin = {part: getattr(spec, part, None) for part in ("path", "params", "table", "query")}
    for part, value in origin.items():
        yield part, html.code(value if isinstance(value, str) else in_yaml(value)) if value else ""
    yield "checks", html.bullets([check.words for check in config.quality.get(name, ())])


_COLUMN_HEADS = ("column", "type", "empty?", "description", "role", "checks")


def _cells(entry: Entry) -> tuple[str, ...]:
    roles = [html.tag(role) for role in entry.roles]
    personal = [html.tag(entry.pii, "pii")] if entry.pii else []
    empty = "nullable" if entry.nullable else "never"
    kind = html.code(entry.type) if entry.type else "inferred"
    about = entry.description
    return (html.code(entry.name), kind, empty, about, html.joined([*roles, *personal]), html.bullets(entry.checks))


def _models(config: Config, models: Models) -> Iterator[Html]:
    own = [models.relations[model] for model in models.of_config.get(config.name, ())]
    if own:
        yield html.heading("Models")
    for model in own:
        yield html.heading(f"{model.schema}.{model.name}", model.name, level=3)
        yield Html(f"<p>{html.put(model.description)}</p>")
        parents = [models.relations[parent] for parent in model.parents if parent in models.relations]
        yield html.facts([("reads", ", ".join(f"{parent.schema}.{parent.name}" for parent in parents))])
        rows = [(html.code(name), html.code(note.type), note.description) for name, note in model.columns.items()]
        if rows:
            yield Html("<br>")
            yield html.table(("column", "type", "description"), rows)
