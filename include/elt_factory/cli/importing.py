"""`elt import`: projects of other tools as configs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elt_factory.cli.output import fail, say, short, write_new
from elt_factory.core.amount import amount
from elt_factory.core.project import config_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from elt_factory.importing.manifest.compiling import Compiled
    from elt_factory.importing.project import Imported

app = typer.Typer(no_args_is_help=True, help="Write configs from projects of other tools.")


@app.callback()
def importing() -> None:
    """Write configs from projects of other tools."""


State = Annotated[Path | None, typer.Option(help="File with the state of the old tool: the first run continues there.")]


@app.command()
def airbyte(
    path: Annotated[
        Path,
        typer.Argument(
            help="Low-code manifest.yaml of a connector; or connections: a project of Octavia or Terraform, "
            "`terraform show -json`, JSON of the API, a script of PyAirbyte."
        ),
    ],
    state: Annotated[
        Path | None, typer.Option(help="JSON with the state of the connections: the first run continues there.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of a manifest's config. Default: the connector's.")] = None,
) -> None:
    """Write configs from connections, or one from a low-code manifest. What a config cannot express is listed."""
    from elt_factory.importing.airbyte import connections, found, states

    _check_there(path, state)
    if path.is_file() and path.suffix in (".yaml", ".yml") and not found.is_octavia(path):
        _of_manifest(path, name)
        return

    def read() -> list[Imported]:
        said, within = found.connections_at(path)
        given = states.states_in(state) if state else {}
        return connections.imported(said, within | given, _that_ran)

    _write_all(read)


def _of_manifest(manifest: Path, name: str | None) -> None:
    from elt_factory.discover.periods import sane_name
    from elt_factory.importing.manifest.compiling import compiled
    from elt_factory.importing.writing import yaml_text

    root = _read(manifest)
    called = name or sane_name(manifest.resolve().parent.name.removeprefix("source-")) or "imported"
    if sane_name(called) != called:
        fail(f'invalid name "{called}": use lowercase letters, digits and _, such as {sane_name(called) or "orders"}')
    found = compiled(root, called)
    if not found.config["tables"]:
        reasons = "; ".join(f"{stream}: {reason}" for stream, reason in found.left_out.items())
        fail("; ".join(["nothing written: " + reasons, *_as_it_is(manifest, called)]))
    target = config_folder() / f"{called}.yaml"
    try:
        write_new(target, yaml_text(found.config, remarks(found)))
    except FileExistsError:
        fail(f"{short(target)} already exists; choose another name with --name")
    _tell(target, found)
    if found.left_out:
        for line in _as_it_is(manifest, f"{called}_more"):
            say(f"  {line}")


def _as_it_is(manifest: Path, name: str) -> list[str]:
    """Return how a manifest is read that no config says whole; nothing where it has Python of its own."""
    from elt_factory.config.errors import MistakeError
    from elt_factory.sources.airbyte.manifest import manifest_of

    try:
        manifest_of(manifest.resolve().parent, manifest.name)
    except MistakeError:
        return []
    return [f"airbyte-cdk can run it as it is: elt new {name} --airbyte {manifest}"]


@app.command("singer")
@app.command("meltano")
def singer(
    path: Annotated[Path, typer.Argument(help="Meltano project, or folder with catalog.json of a tap.")],
    state: State = None,
    package: Annotated[
        str | None, typer.Option(help="Package of the tap of a folder, such as tap-github==2.1.0.")
    ] = None,
) -> None:
    """Write configs of the Singer taps of a project. What a config cannot express is listed with the reason."""
    from elt_factory.importing import meltano

    _check_there(path, state)
    _write_all(lambda: meltano.imported(path, meltano.states_in(state) if state else {}, _newest, package))


@app.command()
def dlt(
    path: Annotated[Path, typer.Argument(help="Folder of a dlt project, as dlt init lays it out.")],
    state: Annotated[
        Path | None, typer.Option(help="state.json of a pipeline, or folder of pipelines, such as ~/.dlt/pipelines.")
    ] = None,
    package: Annotated[str, typer.Option(help="dlt with its version. Default: the newest.")] = "dlt",
) -> None:
    """Write configs of the sources of a dlt project, which is not run. What stays out is listed with the reason."""
    from elt_factory.core.project import project_root
    from elt_factory.importing import dlt as projects

    _check_there(path, state)
    pinned = package if "==" in package else _newest(package)
    if pinned is None:
        fail("no version of dlt can be installed now: write it, as in --package dlt==1.31.0")
    folder = (path if path.is_dir() else path.parent).resolve()
    root = project_root().resolve()
    below = str(folder.relative_to(root)) if folder.is_relative_to(root) else None
    if below is None:
        say(f"Copy {path} into the project, as its folder dlt: that is where its modules are looked for")
    _write_all(lambda: projects.imported(path, projects.states_in(state) if state else {}, pinned, below))


@app.command()
def sling(
    path: Annotated[Path, typer.Argument(help="Replication of sling: replication.yaml.")],
    since: Annotated[
        str | None, typer.Option(help="Value of the update key up to which the old target has the rows.")
    ] = None,
) -> None:
    """Write a config of a replication of sling. What a config cannot express is listed with the reason."""
    from elt_factory.importing import sling as replications

    _check_there(path)
    _write_all(lambda: replications.imported(path, since))


@app.command("dag-factory")
def dag_factory(path: Annotated[Path, typer.Argument(help="YAML of dag-factory.")]) -> None:
    """Write configs of the DAGs of dag-factory that read rows. All other tasks are listed with the reason."""
    from elt_factory.importing import dag_factory as dags

    _check_there(path)
    _write_all(lambda: dags.imported(path))


def _check_there(*paths: Path | None) -> None:
    """End with the near name where a file or folder does not exist."""
    from elt_factory.config.errors import near_name

    for path in paths:
        if path is not None and not path.exists():
            near = near_name(path.name, [one.name for one in path.parent.iterdir()]) if path.parent.is_dir() else ""
            fail(f"no such file or folder: {path}" + (f"; {near}" if near.startswith("did you mean") else ""))


def _newest(package: str) -> str | None:
    """Return a package with its newest version; None where there is none now."""
    from elt_factory.core.failures import EltError
    from elt_factory.extract.label import TableLabel
    from elt_factory.sources.connectors.discovery import pinned

    try:
        return pinned(package, TableLabel("import", package))
    except EltError:
        return None


def _that_ran(package: str, version: str | None) -> str | None:
    """Return a package with the version that ran, else with the newest; None where there is none now."""
    from elt_factory.core.failures import EltError
    from elt_factory.extract.label import TableLabel
    from elt_factory.sources.connectors.discovery import resolved

    try:
        return resolved(f"{package}=={version}", TableLabel("import", package)) if version else _newest(package)
    except EltError:
        return _newest(package)


def _write_all(read: Callable[[], list[Imported]]) -> None:
    """Write the configs that have a table, none over another, and list what is in none."""
    from elt_factory.core.failures import redact
    from elt_factory.importing.project import NotAProjectError
    from elt_factory.importing.writing import yaml_text

    try:
        found = read()
    except NotAProjectError as error:
        fail(redact(str(error)))
    folder, wrote = config_folder(), 0
    for one in found:
        for name, reason in one.left_out.items():
            say(redact(f"not in a config: {name}: {reason}"))
        if not one.config["tables"]:
            continue
        target = folder / f"{one.config['name']}.yaml"
        try:
            write_new(target, yaml_text(one.config, one.remarks))
        except FileExistsError:
            say(f"not written: {short(target)} already exists; rename it, or the config")
            continue
        wrote += 1
        tables = amount(len(one.config["tables"]), "table")
        say(f"Wrote {short(target)}: {tables}. Read its first lines, then: elt validate")
    if not wrote:
        fail("nothing written: see above")


def _read(manifest: Path) -> dict[str, Any]:
    import yaml

    try:
        root = yaml.load(manifest.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fail(f"{manifest}: not YAML: {' '.join(str(error).split())}")
    if not isinstance(root, dict) or not isinstance(root.get("streams"), list):
        fail(f"{manifest}: neither a low-code manifest, which has streams, nor a connection of Octavia")
    return root


def remarks(found: Compiled) -> list[str]:
    """Return what a person has to know of a config that was made of a manifest: settings, and what is not in it."""
    lines = ["Written by `elt import airbyte` from a low-code manifest.", ""]
    lines += [f"The Airflow connection {found.config['extract']['connection']} needs, of the connector's settings:"]
    lines += [f"  host: {found.host}", *(f"  {place}: {setting}" for place, setting in found.held.items())]
    params = found.config.get("params") or {}
    unset = [name for name, value in params.items() if value == "TO BE SET"]
    if unset:
        lines += ["", f"Set these params: {', '.join(unset)}"]
    for title, listed in (("Not in this config:", found.left_out), ("Left out of tables:", _joined(found.notes))):
        if listed:
            lines += ["", title, *(f"  {stream}: {reason}" for stream, reason in listed.items())]
    return [" ".join(line.split("\n")) for line in lines]


def _joined(notes: dict[str, list[str]]) -> dict[str, str]:
    return {table: "; ".join(dict.fromkeys(texts)) for table, texts in notes.items()}


def _tell(target: Path, found: Compiled) -> None:
    tables, name = found.config["tables"], found.config["name"]
    total = len(tables) + len(found.left_out)
    say(f"Wrote {short(target)}: {len(tables)} of {total} streams. Next:")
    for stream, reason in found.left_out.items():
        say(f"  not in it: {stream}: {reason}")
    add = f"airflow connections add {found.config['extract']['connection']} --conn-type http --conn-host '{found.host}'"
    for line in (add, f"elt validate {short(target)}", f"elt run {name}"):
        say(f"  {line}")
