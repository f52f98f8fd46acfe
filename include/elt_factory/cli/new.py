"""`elt new`: a config written from real records of an API, a database or files, or of a preset or connector."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from elt_factory.cli.output import errors, fail, short, write_new
from elt_factory.core.project import config_folder, project_root
from elt_factory.core.stores import is_url
from elt_factory.describe.new_config import look, look_at_url, written

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound


def new(  # noqa: PLR0913 - each is an option of the command
    name: Annotated[str | None, typer.Argument(help="Name of the config and its DAG, such as orders.")] = None,
    url: Annotated[str | None, typer.Option(help="URL of a JSON API that needs no credentials.")] = None,
    connection: Annotated[str | None, typer.Option(help="Airflow connection: http, fs or a database.")] = None,
    path: Annotated[
        str | None, typer.Option(help="Path of the API, or file pattern, relative to the connection.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            "--tables",
            help="Table of the database or preset, or pattern such as 'sales_*'; of a --job schema.table. Repeatable. "
            "Default: all.",
        ),
    ] = None,
    schema: Annotated[str | None, typer.Option(help="Database schema of the tables.")] = None,
    file: Annotated[
        str | None,
        typer.Option(
            help="File, folder, or pattern such as in/*.csv; or that in a store, such as s3://bucket/in/*.csv, which "
            "--connection opens."
        ),
    ] = None,
    airbyte: Annotated[
        str | None,
        typer.Option(
            help="Package of an Airbyte connector, such as airbyte-source-github, or low-code manifest in the project, "
            "such as connectors/shop.yaml; --connection is its own."
        ),
    ] = None,
    singer: Annotated[
        str | None, typer.Option(help="Package of a Singer tap, such as tap-github; --connection is its own.")
    ] = None,
    dlt: Annotated[
        str | None,
        typer.Option(help="Module and name of a dlt source, such as github:github_reactions; --connection is its own."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--from", help="Preset of a well-known API, such as salesforce. `elt connectors` lists them."),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            help="Job of another system, with its ids, that loads --table by itself, such as airbyte:8c775d4c-..., "
            "dbt_cloud:1,2 or aws_glue:load_orders; --connection is the system's."
        ),
    ] = None,
    folder: Annotated[str, typer.Option(help="Folder below dag_configs to write to. Its defaults apply.")] = "",
) -> None:
    """Sample records of a source and write a complete, commented config for it; or one of a preset or a job."""
    if preset is not None:
        _from_preset(name, preset, folder, (table or [], connection))
        return
    if job is not None:
        _from_job(name, job, folder, (table or [], connection))
        return
    if name and not file and (is_url(name) or (_is_path(name) and not (url or connection))):
        name, file = _name_for(name), name
    name = name or typer.prompt("Name of the config")
    target = _free_place(str(name), folder)
    if not (url or connection or file or airbyte or singer or dlt):
        url, connection, file = _asked()
    place = _Place(url, connection, file, airbyte, singer, dlt)
    place.check()
    with tempfile.TemporaryDirectory() as scratch:
        found = _found(str(name), place, (path, table or [], schema), Path(scratch))
    found = _write(target, str(name), found)
    _tell(target, str(name), found)
    if airbyte:
        _tell_of_manifest(airbyte, str(name))


class _Place(NamedTuple):
    """Where the records are: one of these, but a store and a connector may have a connection."""

    url: str | None
    connection: str | None
    file: str | None
    airbyte: str | None
    singer: str | None
    dlt: str | None

    @property
    def package(self) -> str | None:
        return self.airbyte or self.singer or self.dlt

    @property
    def store(self) -> str | None:
        return self.file if self.file and is_url(self.file) else None

    def check(self) -> None:
        """End the command where more than one place is named."""
        alone = self.connection and not (self.store or self.package)
        if sum(map(bool, (self.url, alone, self.file, self.airbyte, self.singer, self.dlt))) > 1:
            fail(
                "use only one of --url, --connection, --file, --airbyte, --singer and --dlt; a --file in a store, "
                "--airbyte, --singer and --dlt may have a --connection"
            )


def _found(name: str, place: _Place, asked: tuple[str | None, list[str], str | None], scratch: Path) -> SourceFound:
    path, table, schema = asked
    if place.package:
        return _from_connector(name, place, scratch)
    if place.url:
        return look_at_url(name, place.url, scratch)
    if place.store:
        return _from_store(place.store, place.connection, scratch)
    if place.file:
        return _from_file(name, Path(place.file), scratch)
    return _from_connection((name, str(place.connection)), path, (table, schema), scratch)


def _from_preset(name: str | None, preset: str, folder: str, asked: tuple[list[str], str | None]) -> None:
    from elt_factory.cli.presets import known_preset, write_preset

    known = known_preset(preset)
    called = name or known
    write_preset(_free_place(called, folder), called, known, *asked)


def _from_job(name: str | None, job: str, folder: str, asked: tuple[list[str], str | None]) -> None:
    from elt_factory.cli.jobs import write_job

    called = str(name or typer.prompt("Name of the config"))
    write_job(_free_place(called, folder), called, job, *asked)


def _asked() -> tuple[str | None, str | None, str | None]:
    """Where the records are, as someone at the keyboard says it."""
    answer = str(typer.prompt("Where are the records? A URL (https://...), an Airflow connection, or a file"))
    if answer.startswith(("http://", "https://")):
        return answer, None, None
    there = Path(answer).exists() or any(sign in answer for sign in "/*")
    return (None, None, answer) if there else (None, answer, None)


def _is_path(name: str) -> bool:
    """Whether what is given as the name is that of a file, or a pattern of files: no config has such a name."""
    return any(sign in name for sign in "/*") or Path(name).is_file()


def _name_for(place: str) -> str:
    """Return a name for a config: that of the file on this machine, else of the folder, or of the bucket."""
    from elt_factory.discover.periods import sane_name
    from elt_factory.sources.files.sampling import place_of

    if is_url(place):
        return sane_name(place_of(place).folder.rsplit("/", 1)[-1]) or "files"
    found = Path(place)
    return sane_name(found.parent.name if "*" in found.name else found.stem) or "files"


def _free_place(name: str, folder: str) -> Path:
    """Return the file to write; ends the command where the name is none, or taken."""
    from elt_factory.config.loading import config_files
    from elt_factory.dag.neighbours import Neighbours
    from elt_factory.discover.periods import sane_name

    root = config_folder()
    if sane_name(name) != name:
        fail(f'invalid name "{name}": use lowercase letters, digits and _, such as {sane_name(name) or "orders"}')
    target = root / folder / f"{name}.yaml"
    if ".." in Path(folder).parts or not target.is_relative_to(root):
        fail(f"{folder} points outside {short(root)}; choose a folder below it")
    known = Neighbours(root)
    stems = {file.stem for file in config_files(root)}
    owner = known.file_of(name) or next((file for file in (target, target.with_suffix(".yml")) if file.exists()), None)
    if owner:
        other = next(n for i in range(2, 1000) if (n := f"{name}_{i}") not in stems and known.file_of(n) is None)
        fail(f"{short(owner)} already exists; choose another name, such as {other}")
    return target


def _from_connector(name: str, place: _Place, scratch: Path) -> SourceFound:
    from elt_factory.sources.airbyte.discovery import is_manifest, look_at_connector
    from elt_factory.sources.dlt.discovery import look_at_source
    from elt_factory.sources.singer.discovery import look_at_tap

    connection = _connection(place.connection) if place.connection else None
    if place.airbyte:
        given = _below_project(Path(place.airbyte)) if is_manifest(place.airbyte) else place.airbyte
        return look_at_connector(name, given, connection, (project_root(), scratch), _say)
    if place.dlt:
        return look_at_source(name, place.dlt, connection, (project_root(), scratch), _say)
    return look_at_tap(name, str(place.singer), connection, scratch, _say)


def _below_project(file: Path) -> str:
    """Return the path of a file from the project's folder: it is given from there, or from the current folder."""
    root = project_root().resolve()
    place = next((one for one in (Path.cwd() / file, root / file) if one.is_file()), root / file)
    if not place.resolve().is_relative_to(root):
        fail(f"{file} is outside the project; put the manifest into it, such as connectors/{file.name}")
    return place.resolve().relative_to(root).as_posix()


def _tell_of_manifest(given: str, name: str) -> None:
    """Say how much of a manifest the reader of JSON APIs could read, which is faster."""
    from elt_factory.core.amount import amount
    from elt_factory.importing.manifest.compiling import compiled
    from elt_factory.sources.airbyte.discovery import is_manifest
    from elt_factory.sources.airbyte.manifest import manifest_of

    if not is_manifest(given):
        return
    found = compiled(manifest_of(project_root(), _below_project(Path(given))), name)
    said = len(found.config["tables"])
    total = said + len(found.left_out)
    if said:
        much = f"{said} of {amount(total, 'stream')}"
        _say(f"`elt import airbyte {given}` would write {much} as type: rest_api, which reads faster")


def _say(text: str) -> None:
    errors.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def _from_connection(
    named: tuple[str, str], path: str | None, tables: tuple[list[str], str | None], scratch: Path
) -> SourceFound:
    from elt_factory.sources.kind import Wish

    name, conn_id = named
    return look(Wish(name, _connection(conn_id), path, *tables, project_root(), typer.prompt), scratch)


def _from_file(name: str, file: Path, scratch: Path) -> SourceFound:
    from elt_factory.discover.found import Guess
    from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files

    whole = (Path.cwd() / file).absolute()
    folder, pattern = (whole, "*") if whole.is_dir() else (whole.parent, whole.name)
    if not folder.is_dir():
        fail(f"folder {folder} does not exist")
    root = project_root()
    if folder.resolve().is_relative_to(root):
        below = str(folder.resolve().relative_to(root))
        import json

        return look_at_files(
            FilesToLookAt(folder, pattern, {"folder": Guess(json.dumps(below), "relative to the project")}), scratch
        )
    conn_id = f"{name}_files"
    extract = {"connection": Guess(conn_id, "an Airflow connection holds the folder, which is outside the project")}
    add = f'airflow connections add {conn_id} --conn-type fs --conn-extra \'{{"path": "{folder}"}}\''
    return look_at_files(FilesToLookAt(folder, pattern, extract, (add,)), scratch)


def _from_store(url: str, conn_id: str | None, scratch: Path) -> SourceFound:
    import json

    from elt_factory.config.models.places import check_folder
    from elt_factory.discover.found import Guess
    from elt_factory.sources.files.discovery import look_at_store
    from elt_factory.sources.files.opening import open_store
    from elt_factory.sources.files.sampling import place_of

    place = place_of(url)
    try:
        check_folder(place.folder)
    except ValueError as error:
        fail(str(error))
    extract = {"folder": Guess(json.dumps(place.folder), "")}
    connection = None
    if conn_id:
        connection = _connection(conn_id)
        extract = {"connection": Guess(conn_id, "an Airflow connection opens the folder"), **extract}
    with open_store(place.folder, connection, project_root()) as store:
        return look_at_store(store, place.pattern, extract, scratch)


def _connection(conn_id: str) -> Connection:
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    from elt_factory.dag.runtime import get_connection

    return get_connection(conn_id)


def _write(target: Path, name: str, found: SourceFound) -> SourceFound:
    """Write the file, once it is known to be a valid config, and return what it has; never over another."""
    from elt_factory.config.errors import ConfigError

    try:
        text, found = written(name, found, target, config_folder())
    except ConfigError as error:
        errors.print(str(error), style="yellow", markup=False, highlight=False, soft_wrap=True)
        fail("nothing written: the generated config would be invalid; fix the problems above at their source")
    try:
        write_new(target, text)
    except FileExistsError:
        fail(f"{short(target)} already exists; choose another name")
    return found


def _tell(target: Path, name: str, found: SourceFound) -> None:
    from rich.table import Table

    from elt_factory.cli.tables import screen

    console = screen()
    shown = Table("table", "records", "key", "cursor", "business date", "written by", "personal")
    for table in found.tables:
        personal = ", ".join(column.name for column in table.columns if column.pii)
        cursor = table.cursor.value if table.cursor else table.changes or "-"
        day = table.business_date.value if table.business_date else "-"
        rows = "-" if table.rows is None else f"{table.rows:,}"
        key = ", ".join(table.key.columns) if table.key else "-"
        shown.add_row(table.name, rows, key, cursor, day, table.disposition.value, personal)
    console.print(shown)
    for skipped in found.skipped:
        console.print(f"skipped {skipped.name}: {skipped.reason}", markup=False, soft_wrap=True)
    console.print(f"Wrote {short(target)}. Next:", markup=False)
    for line in (*found.todo, f"elt validate {short(target)}", f"elt run {name}"):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
