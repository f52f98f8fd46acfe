"""What a task read and wrote, for OpenLineage: datasets with their columns, and which column comes from which.

Airflow's OpenLineage provider asks each operator when its task has ended, where it is installed and configured; nothing
here is imported or made before. Datasets are named as OpenLineage's conventions and its dbt integration name them, so
that a load, and the dbt model that reads the table, meet in one node of the graph. No name holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from elt_factory.config.models.source import Source
from elt_factory.config.models.table import Table
from elt_factory.core.connection import Connection
from elt_factory.core.failures import PermanentError
from elt_factory.core.project import project_root
from elt_factory.dag.metrics import Moved
from elt_factory.dag.runtime import get_connection, landing_place
from elt_factory.landing.manifest import Manifest
from elt_factory.warehouse.kind import WarehouseKind
from elt_factory.warehouse.opening import CONNECTION_ID, kind_of

if TYPE_CHECKING:
    from elt_factory.checks.run import Result

_DEFAULT_PORTS: Mapping[str, int] = {"postgres": 5432, "mysql": 3306, "mssql": 1433, "oracle": 1521, "mongo": 27017}
_SCHEMES: Mapping[str, str] = {"aws": "s3", "google_cloud_platform": "gs", "wasb": "abfss", "mongo": "mongodb"}
_FILES = ("fs", "")
_PROVIDER = "airflow.providers.openlineage"


class Name(NamedTuple):
    """A dataset by OpenLineage's namespace and name."""

    namespace: str
    name: str


class Names(NamedTuple):
    """The datasets of a table on its way."""

    source: Name
    landing: Name
    table: Name


@dataclass(frozen=True)
class Lineage:
    """What the provider takes from an operator."""

    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()
    run_facets: Mapping[str, Any] = field(default_factory=dict)
    job_facets: Mapping[str, Any] = field(default_factory=dict)


def is_asked() -> bool:
    """Whether there is a provider that asks for lineage."""
    return find_spec(_PROVIDER) is not None


def names_of(config: Source, table: str) -> Names | None:
    """Return the names of what a table's tasks read and write; None where no provider would ask."""
    if not is_asked():
        return None
    return Names(source_name(config, table), landing_name(config, table), warehouse_dataset(config.name, table))


def of_extract(spec: Table, names: Names | None, moved: Moved | None) -> Lineage:
    """Return the lineage of an extract: from the source system to the landing."""
    if names is None:
        return Lineage()
    if moved is None:
        return Lineage([_input(names.source, None)])
    fields = dict(_fields(spec, moved.manifest, names.source))
    return Lineage([_input(names.source, None)], [_output(names.landing, moved, fields)])


def of_load(names: Names | None, moved: Moved | None) -> Lineage:
    """Return the lineage of a load: from the landing to the table in the warehouse."""
    if names is None:
        return Lineage()
    if moved is None:
        return Lineage([_input(names.landing, None)], [_named_output(names.table)])
    columns = _identity(moved.manifest, names.landing)
    return Lineage([_input(names.landing, moved.manifest)], [_output(names.table, moved, columns)])


def of_checks(names: Names | None, results: Sequence[Result]) -> Lineage:
    """Return what the checks of a table found."""
    if names is None:
        return Lineage()
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    found = [
        quality.Assertion(assertion=one.check, success=one.status == "passed", severity=one.severity) for one in results
    ]
    facets: Any = {"dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet(assertions=found)}
    return Lineage([InputDataset(*names.table, inputFacets=facets)])


def source_name(config: Source, table: str) -> Name:
    """Return the name of a table in its source system: where the connection leads, and what is asked for there."""
    spec = config.tables[table]
    named = (getattr(spec, key, None) for key in ("path", "table", "collection", "name"))
    asked = next((str(value) for value in named if value), table)
    conn_id = config.extract.connection
    try:
        connection = get_connection(conn_id) if conn_id else None
    except PermanentError:
        connection = None
    if connection is None:
        folder = getattr(config.extract, "folder", None) or getattr(config.extract, "url", None) or config.name
        return Name("file", f"{project_root() / str(folder)}/{asked}") if conn_id is None else Name(conn_id, asked)
    return _in_system(connection, asked)


def _in_system(connection: Connection, asked: str) -> Name:
    kind, host = connection.conn_type, connection.host or ""
    if kind in _FILES:
        folder = str(connection.extra.get("path") or host or "/")
        return Name("file", f"{folder.rstrip('/')}/{asked}")
    if kind == "http":
        scheme, _, rest = host.rpartition("://")
        place, _, prefix = rest.rpartition("@")[2].partition("/")
        at_port = f":{connection.port}" if connection.port else ""
        path = "/".join(part.strip("/") for part in (prefix, asked) if part.strip("/"))
        return Name(f"{scheme or connection.schema or 'https'}://{place}{at_port}", f"/{path}")
    if kind == "sqlite":
        return Name("sqlite", f"{host}/{asked}")
    port = connection.port or _DEFAULT_PORTS.get(kind)
    scheme = _SCHEMES.get(kind, kind)
    place = host.rpartition("@")[2] or str(connection.extra.get("account") or connection.conn_id)
    database = f"{connection.schema}." if connection.schema else ""
    return Name(f"{scheme}://{place}{f':{port}' if port else ''}", f"{database}{asked}")


def landing_name(config: Source, table: str) -> Name:
    """Return the name of a table's landings: a folder of this machine or of object storage."""
    place = str(landing_place(config.name, table))
    scheme, found, rest = place.partition("://")
    if not found:
        return Name("file", place)
    bucket, _, path = rest.partition("/")
    return Name(f"{scheme}://{bucket}", path)


def warehouse_dataset(source: str, table: str) -> Name:
    """Return the name of a table of the warehouse, as dbt's OpenLineage integration names it."""
    connection = get_connection(CONNECTION_ID)
    kind: WarehouseKind = kind_of(connection)
    profile = kind.dbt_profile(connection, project_root(), None).settings
    if "path" in profile:
        path = str(profile["path"])
        return Name(f"duckdb://{path}", f"{Path(path).stem}.{source}.{table}")
    account, database = profile.get("account"), profile.get("database")
    place = f"{profile['type']}://{account}" if account else str(profile["type"])
    return Name(place, ".".join(str(part) for part in (database, source, table) if part))


def _input(name: Name, manifest: Manifest | None) -> Any:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(*name, facets=_schema(manifest) if manifest else {})


def _named_output(name: Name) -> Any:
    from openlineage.client.event_v2 import OutputDataset

    return OutputDataset(*name)


def _output(name: Name, moved: Moved, fields: Mapping[str, Any]) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import column_lineage_dataset, output_statistics_output_dataset

    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=moved.rows, size=moved.manifest.bytes, fileCount=len(moved.manifest.files)
    )
    facets: Any = _schema(moved.manifest)
    facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields=dict(fields))
    return OutputDataset(*name, outputFacets={"outputStatistics": statistics}, facets=facets)


def _schema(manifest: Manifest) -> dict[str, Any]:
    from openlineage.client.facet_v2 import schema_dataset

    fields = [schema_dataset.SchemaDatasetFacetFields(name=one.name, type=one.type) for one in manifest.columns]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)}


def _identity(manifest: Manifest, origin: Name) -> dict[str, Any]:
    """Return that each column comes from the one of its name, as it is."""
    return {name: _from(origin, name, "IDENTITY", masking=False) for name in (one.name for one in manifest.columns)}


def _fields(spec: Table, manifest: Manifest, origin: Name) -> Iterator[tuple[str, Any]]:
    """Yield from which field of the source each column comes, and whether it is hashed on the way."""
    for column in manifest.columns:
        if column.name.startswith("_"):
            continue  # made here: when it was loaded, from which file
        declared = spec.columns.get(column.name)
        hashed = declared is not None and declared.pii == "hash"
        yield column.name, _from(origin, column.name, "MASKED" if hashed else "IDENTITY", masking=hashed)


def _from(origin: Name, name: str, subtype: str, *, masking: bool) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    how = lineage.Transformation(type="DIRECT", subtype=subtype, masking=masking)
    return lineage.Fields(inputFields=[lineage.InputField(*origin, field=name, transformations=[how])])
