"""A closer look at configs, which needs what they name: connections, and the sources themselves."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from elt_factory.config.across import LoadedConfig
from elt_factory.config.extract import SqlTable
from elt_factory.config.source import Config, FilesSource, RestSource, Source, SqlSource, TransformOnly
from elt_factory.config.templates import CURSOR
from elt_factory.config.window import Window, load_id
from elt_factory.config.yaml_source import YamlPath
from elt_factory.dag.runtime import get_connection
from elt_factory.describe.findings import Finding, Severity, finding
from elt_factory.describe.windows import chosen_window
from elt_factory.extract.files import matching_files, source_folder
from elt_factory.extract.read import read
from elt_factory.extract.request import Connection, ReadRequest
from elt_factory.extract.templating import Values, pattern_of, template_values
from elt_factory.failures import BadDataError, ContractError, EltError, PermanentError
from elt_factory.landing.land import LandRequest, land
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.schema import Known
from elt_factory.project import project_root
from elt_factory.sql_text import LITERAL_PATHS, identifier, text_literal
from elt_factory.warehouse.opening import CONNECTION_ID

SAMPLE_ROWS = 100
# the second page shows that the way to it is right
_PAGES = 2
_RUN_ID = "elt-validate"
_REASONS = 3
_MISFITS = (ContractError, BadDataError)


def missing_connections(configs: Sequence[LoadedConfig]) -> Iterator[Finding]:
    """Yield the connections that the configs name and Airflow does not have; the warehouse's is asked for once."""
    known: dict[str, str] = {}
    for item in configs:
        for path, conn_id in named_connections(item.config):
            if conn_id not in known:
                known[conn_id] = _why_not(conn_id)
            if known[conn_id]:
                yield finding(item, path, "error", "unknown-connection", *known[conn_id].split("; ", 1))
    if configs and _why_not(CONNECTION_ID):
        yield finding(configs[0], ("name",), "error", "unknown-connection", *_why_not(CONNECTION_ID).split("; ", 1))


def named_connections(config: Config) -> Iterator[tuple[YamlPath, str]]:
    """Yield the connections that a config names, each with its place."""
    if not isinstance(config, TransformOnly) and config.extract.connection:
        yield ("extract", "connection"), config.extract.connection
    for stage in ("before_extract", "before_transform"):
        for index, sensor in enumerate(getattr(config.sensors, stage)):
            conn_id = getattr(sensor.spec, "connection", None)
            if conn_id:
                yield ("sensors", stage, index, sensor.kind, "connection"), conn_id
    for conn_id in config.alerts.to:
        yield ("alerts", "to"), conn_id


def _why_not(conn_id: str) -> str:
    try:
        get_connection(conn_id)
    except PermanentError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Sampler:
    """Reads a little of every table and holds it to the contract. Nothing is loaded, nothing is kept.

    Args:
        start: Start of the window to read, in the config's zone.
        end: Its end. Without both it is the last window that a run would have.
        tell: Takes a line for people.
    """

    start: str | None
    end: str | None
    tell: Callable[[str], None]

    def sample_all(self, configs: Sequence[LoadedConfig]) -> Iterator[Finding]:
        """Yield what does not answer, and what does not fit."""
        for item in configs:
            if isinstance(item.config, TransformOnly):
                continue
            try:
                moment = datetime.now(UTC)
                window = chosen_window(item.config, self.start, self.end, moment)
            except ValueError as error:
                yield finding(item, ("schedule",), "error", "no-answer", str(error), "")
                continue
            for table in item.config.tables:
                yield from self._sample(item, item.config, table, window)

    def _sample(self, item: LoadedConfig, source: Source, table: str, window: Window) -> Iterator[Finding]:
        at, label = ("tables", table), f"{source.name}.{table}"
        remarks: list[str] = []
        with tempfile.TemporaryDirectory(prefix="elt-sample-") as scratch:
            try:
                read_as, what = _narrowed(source, table, window)
                self.tell(f"{label}: reading {what}")
                manifest = _landed(source, read_as, table, window, (Path(scratch), remarks.append))
                reasons = _reasons(manifest, Path(scratch) / "landing")
            except _MISFITS as error:
                yield finding(item, at, "error", "sample-rejected", str(error), "")
                return
            except EltError as error:
                yield finding(item, at, "error", "no-answer", str(error), "")
                return
        self.tell(f"{label}: {manifest.rows_read} rows read, {manifest.rows_rejected} do not fit")
        for remark in remarks:
            yield finding(item, at, "warning", "end-of-pages", remark, "check a response, and paginator:")
        if not manifest.rows_read:
            message = f"{label}: the source has no records for {window}"
            yield finding(item, at, "warning", "nothing-read", message, "choose another window with --start and --end")
        if manifest.rows_rejected:
            message = f"{label}: {manifest.rows_rejected} of {manifest.rows_read} rows do not fit: {'; '.join(reasons)}"
            severity: Severity = "error" if manifest.rows_rejected == manifest.rows_read else "warning"
            yield finding(item, at, severity, "sample-rejected", message, "fix `columns` of this table, or the source")


def _narrowed(source: Source, table: str, window: Window) -> tuple[Source, str]:
    """Return the source as it is read for a sample, and what that is in words."""
    match source:
        case RestSource():
            return source, f"the first pages of {window}"
        case SqlSource():
            limited = _limited(source, source.tables[table], table)
            return source.model_copy(update={"tables": {**source.tables, table: limited}}), f"{SAMPLE_ROWS} rows"
        case FilesSource():
            return _one_file(source, table, window)


def _limited(source: SqlSource, spec: SqlTable, table: str) -> SqlTable:
    """Any rows, not those of the window: the database need not look for them. A query may name its cursor itself."""
    names = filter(None, (source.extract.schema_name, spec.table or table))
    origin = f"({spec.query.strip().rstrip(';')}) AS q" if spec.query else ".".join(map(identifier, names))
    query = f"SELECT * FROM {origin} LIMIT {SAMPLE_ROWS}"
    numbered = spec.incremental if spec.query and spec.counts_by_number else None
    return spec.model_copy(update={"query": query, "table": None, "incremental": numbered})


def _one_file(source: FilesSource, table: str, window: Window) -> tuple[Source, str]:
    spec = source.tables[table]
    folder = source_folder(_connection(source), source.extract.folder, project_root())
    more: Values = {"load_id": load_id(source.name, table, window), "run_id": _RUN_ID, CURSOR: window.start}
    pattern = pattern_of(spec.path, template_values(source, window, more, {}), source.timezone)
    first = matching_files(folder, pattern, window, source.timezone)[0]
    name = str(first.relative_to(folder.resolve()))
    alone = spec.model_copy(update={"path": glob.escape(name).replace("%", "%%")})
    return source.model_copy(update={"tables": {**source.tables, table: alone}}), f"the whole file {name}"


def _landed(
    source: Source, read_as: Source, table: str, window: Window, out: tuple[Path, Callable[[str], None]]
) -> Manifest:
    """Return the sample's landing in scratch space: the records through the table's own contract."""
    scratch, warn = out
    folders = [scratch / name for name in ("read", "contract")]
    for folder in folders:
        folder.mkdir()
    load = load_id(source.name, table, window)
    request = ReadRequest(
        source=read_as,
        table=table,
        window=window,
        load_id=load,
        connection=_connection(source),
        workdir=folders[0],
        project=project_root(),
        tell=_quietly,
        run_id=_RUN_ID,
        warn=warn,
        most_pages=_PAGES,
    )
    known = Known(source.name, table, source.tables[table], None)
    return land(LandRequest(known, window, load, read(request), LocalPlace(scratch / "landing"), folders[1], _quietly))


def _reasons(manifest: Manifest, landing: Path) -> list[str]:
    """Return the commonest reasons of rejects, with how often each was met."""
    if manifest.rejects is None:
        return []
    import duckdb

    file = text_literal(str(landing / manifest.rejects.path))
    rejects = f"read_parquet({file}, {LITERAL_PATHS})"
    counted = f"SELECT reason, count(*) AS n FROM {rejects} GROUP BY 1 ORDER BY n DESC, 1 LIMIT {_REASONS}"
    return [f"{reason} ({count} times)" for reason, count in duckdb.execute(counted).fetchall()]


def _connection(source: Source) -> Connection | None:
    return get_connection(source.extract.connection) if source.extract.connection else None


def _quietly(_: str) -> None:
    """Progress that nobody asked for."""
