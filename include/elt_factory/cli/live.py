"""A closer look at configs, which needs what they name: connections, and the sources themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from elt_factory.alerts.airflow_notifier import UnusableNotifierError, notifier_class
from elt_factory.alerts.kind import EXTRAS_OF_NOTIFIERS, NOTIFIERS
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.alerts import Alerts
from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.config.models.sensors import SENSORS, STAGES
from elt_factory.config.models.source import SOURCES, Config, Source, TransformOnly
from elt_factory.config.models.templates import CURSOR
from elt_factory.config.yaml.source import YamlPath
from elt_factory.core.amount import amount
from elt_factory.core.connection import Connection
from elt_factory.core.extras import MissingExtraError, missing
from elt_factory.core.failures import BadDataError, ContractError, EltError, PermanentError
from elt_factory.core.project import project_root
from elt_factory.core.sql_text import LITERAL_PATHS, text_literal
from elt_factory.core.stores import STORES
from elt_factory.core.window import Window, load_id
from elt_factory.dag.runtime import get_connection, warehouse
from elt_factory.describe.findings import Finding, Severity, finding
from elt_factory.describe.windows import chosen_window
from elt_factory.extract.request import ReadRequest
from elt_factory.extract.templating import Values, template_values
from elt_factory.landing.land import land
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.parents import keys_of_landings, queried_keys
from elt_factory.landing.places import LocalPlace, Place
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.kind import SAMPLE_ROWS, Asked, SourceKind
from elt_factory.sources.read import read
from elt_factory.warehouse.opening import CONNECTION_ID

# the second page shows that the way to it is right
_PAGES = 2
_KEYS = 3
_RUN_ID = "elt-validate"
_REASONS = 3
_MISFITS = (ContractError, BadDataError)


class Named(NamedTuple):
    """A connection that a config names: where, the types that fit there (none: any), the extras that types need."""

    path: YamlPath
    conn_id: str
    types: Sequence[str] = ()
    extras: Mapping[str, str] = MappingProxyType({})


def connection_problems(configs: Sequence[LoadedConfig]) -> Iterator[Finding]:
    """Yield the connections that cannot be what the configs need; the warehouse's is asked for once."""
    yield from config_connection_problems(configs)
    found = _looked_up(CONNECTION_ID) if configs else None
    if isinstance(found, PermanentError):
        yield _unknown(configs[0], ("name",), found)


def config_connection_problems(configs: Sequence[LoadedConfig]) -> Iterator[Finding]:
    """Yield the connections that the configs name and Airflow does not have, or has with a type that does not fit."""
    looked_up = cache(_looked_up)  # a secrets backend is asked once for each
    for item in configs:
        yield from _unusable_notifiers(item)
        for named in named_connections(item.config):
            found = looked_up(named.conn_id)
            if isinstance(found, PermanentError):
                yield _unknown(item, named.path, found)
            else:
                yield from _misfit(item, named, found.conn_type)
                yield from _without_extra(item, named, found.conn_type)


def named_connections(config: Config) -> Iterator[Named]:
    """Yield the connections that a config names, each with its place."""
    if not isinstance(config, TransformOnly) and config.extract.connection:
        source, path = SOURCES.get(config.extract.type), ("extract", "connection")
        types = source.types_of(config.extract) if source.types_of else source.connection_types
        yield Named(path, config.extract.connection, types, source.extras)
    for stage in STAGES:
        for index, sensor in enumerate(getattr(config.sensors, stage)):
            conn_id = getattr(sensor.spec, "connection", None)
            if conn_id:
                kind, key = SENSORS.get(sensor.kind), ("sensors", stage, index, sensor.kind, "connection")
                types = kind.types_of(sensor.spec) if kind.types_of else kind.connection_types
                yield Named(key, conn_id, types, kind.extras)
    for index, job in enumerate(config.after):
        kind = REMOTE_JOBS.get(job.kind)
        yield Named(("after", index, "connection"), job.connection, kind.connection_types, kind.extras)
    yield from _of_alerts(config.alerts)


def _of_alerts(alerts: Alerts) -> Iterator[Named]:
    named: list[tuple[YamlPath, str]] = [(("alerts", "to"), conn_id) for conn_id in alerts.to]
    named += [(("alerts", "routes", index, "to"), route.to) for index, route in enumerate(alerts.routes) if route.to]
    for path, conn_id in named:
        yield Named(path, conn_id, NOTIFIERS.names(), EXTRAS_OF_NOTIFIERS)


def _unusable_notifiers(item: LoadedConfig) -> Iterator[Finding]:
    """Yield the classes in the routes of alerts that are not notifiers here."""
    for index, route in enumerate(item.config.alerts.routes):
        try:
            if route.notifier:
                notifier_class(route.notifier)
        except UnusableNotifierError as error:
            hint = "install the provider that has it, or write its module and class as Python imports them"
            yield finding(item, ("alerts", "routes", index, "notifier"), "error", "unknown-notifier", str(error), hint)


def _looked_up(conn_id: str) -> Connection | PermanentError:
    """Return a connection, or why there is none."""
    try:
        return get_connection(conn_id)
    except PermanentError as error:
        return error


def _unknown(item: LoadedConfig, path: YamlPath, error: PermanentError) -> Finding:
    return finding(item, path, "error", "unknown-connection", *str(error).split("; ", 1))


def _misfit(item: LoadedConfig, named: Named, conn_type: str) -> Iterator[Finding]:
    """Yield what is wrong with a type: an error where it is that of another kind of source."""
    if not named.types or conn_type in named.types:
        return
    others = {taken for kind in SOURCES.built_in for taken in SOURCES.get(kind).connection_types}
    others |= {taken for store in STORES.values() for taken in store.conn_types}
    if "*" in named.types and conn_type not in others:
        return
    message = f'the connection "{named.conn_id}" has the type "{conn_type}"'
    hint = f"the type should be {' or '.join(name for name in named.types if name != '*')}"
    severity: Severity = "error" if conn_type in others else "warning"
    yield finding(item, named.path, severity, "connection-type", message, hint)


def _without_extra(item: LoadedConfig, named: Named, conn_type: str) -> Iterator[Finding]:
    extra = named.extras.get(conn_type)
    if extra and (module := missing(extra)):
        error = MissingExtraError(f'the connection "{named.conn_id}" of type {conn_type}', extra, module)
        yield finding(item, named.path, "error", "missing-extra", error.message, error.hint)


@dataclass(frozen=True)
class Sampler:
    """Reads a little of every table and validates it against the contract. Nothing is loaded, nothing is kept.

    Args:
        start: Start of the window to read, in the config's zone.
        end: Its end. Without both it is the last window that a run would have.
        log: Takes a line for people.
    """

    start: str | None
    end: str | None
    log: Callable[[str], None]

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
        if any(source.tables[name].has_job for name in source.with_parents(table)):
            self.log(f"{label}: not read: a sample starts no job")
            return
        with tempfile.TemporaryDirectory(prefix="elt-sample-") as scratch:
            try:
                read_as, what = _narrowed(source, table, window)
                self.log(f"{label}: reading {what}")
                manifest = _landed(source, read_as, table, window, (Path(scratch), remarks.append))
                reasons = _reasons(manifest, Path(scratch) / "landing")
            except _MISFITS as error:
                yield finding(item, at, "error", "sample-rejected", str(error), "")
                return
            except EltError as error:
                yield finding(item, at, "error", "no-answer", str(error), "")
                return
        unfit = amount(manifest.rows_rejected, "does not fit", "do not fit")
        self.log(f"{label}: {amount(manifest.rows_read, 'row')} read, {unfit}")
        for remark in remarks:
            yield finding(item, at, "warning", "end-of-pages", remark, "check a response, and paginator:")
        if not manifest.rows_read:
            message = f"{label}: the source has no records for {window}"
            yield finding(item, at, "warning", "nothing-read", message, "choose another window with --start and --end")
        if manifest.rows_rejected:
            read = amount(manifest.rows_read, "row does", "rows do")
            message = f"{label}: {manifest.rows_rejected:,} of {read} not fit: {'; '.join(reasons)}"
            severity: Severity = "error" if manifest.rows_rejected == manifest.rows_read else "warning"
            yield finding(item, at, severity, "sample-rejected", message, "fix `columns` of this table, or the source")


def _narrowed(source: Source, table: str, window: Window) -> tuple[Source, str]:
    """Return the source as it is read for a sample, and what that is in words."""
    kind: SourceKind = SOURCES.get(source.extract.type)
    more: Values = {"load_id": load_id(source.name, table, window), "run_id": _RUN_ID, CURSOR: window.start}
    asked = Asked(source, table, window, template_values(source, window, more, {}))
    return kind.sampled(asked, _connection(source), project_root())


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
        log=_quietly,
        run_id=_RUN_ID,
        warn=warn,
        most_pages=_PAGES,
        most_rows=SAMPLE_ROWS,
        keys=_keys(source, table, window, scratch),
    )
    known = KnownTable.of(source, table, None)
    place = LocalPlace(scratch / "landing")
    spool, zone = read(request), source.timezone
    return land(LandRequest(known, window, load, spool, place, folders[1], _quietly, zone=zone))


def _keys(source: Source, table: str, window: Window, scratch: Path) -> Path | None:
    """Return a few rows to ask with: of a sample of the table that they come from, or of the query."""
    spec = source.tables[table]
    folder = scratch / "parent"
    if not spec.parents and spec.query_of_keys is None:
        return None
    folder.mkdir()
    if not spec.parents:
        with warehouse() as opened:
            rows = opened.query(str(spec.query_of_keys)).dicts()
        return queried_keys(rows[:_KEYS], spec.columns_of_parent, folder).file
    landings = {parent: _sampled(source, parent, window, folder / parent) for parent in spec.parents}
    return keys_of_landings(landings, spec.query_of_keys, spec.columns_of_parent, folder, _KEYS).file


def _sampled(source: Source, table: str, window: Window, folder: Path) -> tuple[Place, Manifest]:
    folder.mkdir()
    read_as, _ = _narrowed(source, table, window)
    return LocalPlace(folder / "landing"), _landed(source, read_as, table, window, (folder, _quietly))


def _reasons(manifest: Manifest, landing: Path) -> list[str]:
    """Return the commonest reasons of rejects, with how often each was met."""
    if manifest.rejects is None:
        return []
    import duckdb

    file = text_literal(str(landing / manifest.rejects.path))
    rejects = f"read_parquet({file}, {LITERAL_PATHS})"
    counted = f"SELECT reason, count(*) AS n FROM {rejects} GROUP BY 1 ORDER BY n DESC, 1 LIMIT {_REASONS}"
    return [f"{reason} ({amount(count, 'time')})" for reason, count in duckdb.execute(counted).fetchall()]


def _connection(source: Source) -> Connection | None:
    return get_connection(source.extract.connection) if source.extract.connection else None


def _quietly(_: str) -> None:
    """Progress that no one asked for."""
