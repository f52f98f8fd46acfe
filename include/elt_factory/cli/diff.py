"""`elt diff`: what the configs in the working tree change, against a git revision."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from elt_factory.cli.output import AsJson, fail, print_json
from elt_factory.cli.tables import screen
from elt_factory.config.loading import Folder, load_folder
from elt_factory.core.project import config_folder
from elt_factory.dag.neighbours import name_in
from elt_factory.describe.changes import Change, ConfigChange, compare
from elt_factory.describe.words import in_yaml

_SIGNS = {"added": "[green]+[/]", "removed": "[red]-[/]", "renamed": "[yellow]→[/]", "changed": "[yellow]~[/]"}
_REFRESH = {"needed": "[red]needs a full refresh[/]", "advised": "[yellow]may need a full refresh[/]", "no": ""}
_LONGEST = 60


def diff(
    against: Annotated[str, typer.Option(help="Git revision to compare with.")] = "HEAD", as_json: AsJson = False
) -> None:
    """Show what changes per DAG, what needs a full refresh, and what happens to removed and renamed configs."""
    with tempfile.TemporaryDirectory(prefix="elt-diff-") as scratch:
        _take_out(against, config_folder(), Path(scratch))
        before = load_folder(Path(scratch))
        unread = _unread(before)
    after = load_folder(config_folder())
    found = compare(before.configs, after.configs)
    # a config that cannot be read is not a config that was removed
    unread |= _unread(after)
    found = [change for change in found if change.name not in unread]
    if as_json:
        print_json({"against": against, "unreadable": sorted(unread), "configs": [change.entry() for change in found]})
        return
    console = screen()
    for change in found:
        _show(console, change)
    for name in sorted(unread):
        console.print(f"[red]![/] [bold]{name}[/] is invalid on one side: see elt validate", highlight=False)
    if not found and not unread:
        console.print(f"No config differs from {against}.", highlight=False)


def _take_out(revision: str, folder: Path, into: Path) -> None:
    """Extract the folder as of a revision; leave it empty if it did not exist."""
    listed = _git(folder, "ls-tree", "--name-only", revision, "--", ".")
    if listed.returncode:
        fail(f"git cannot read revision {revision}: {listed.stderr.decode(errors='replace').strip()}")
    if not listed.stdout.strip():
        return
    packed = _git(folder, "archive", "--format=tar", revision, "--", ".")
    if packed.returncode:
        fail(f"git cannot read revision {revision}: {packed.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")


def _git(folder: Path, *arguments: str) -> Any:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a revision is an argument, no shell


def _unread(folder: Folder) -> set[str]:
    return {name_in(file) for file in folder.errors}


def _show(console: Console, change: ConfigChange) -> None:
    former = f" (was {change.former})" if change.former else ""
    refresh = f"  {_REFRESH[change.full_refresh]}" if change.full_refresh != "no" else ""
    console.print(f"{_SIGNS[change.kind]} [bold]{change.name}[/]{former} {change.kind}{refresh}", highlight=False)
    for consequence in change.consequences:
        console.print(f"    {consequence}", highlight=False, markup=False, soft_wrap=True)
    for one in change.changes:
        _show_value(console, one)
    if change.full_refresh != "no" and change.kind == "changed":
        tables = "".join(f" --table {table}" for table in change.tables_to_refresh)
        console.print(
            f"    elt run {change.name} --full-refresh{tables}", style="bold", highlight=False, soft_wrap=True
        )


def _show_value(console: Console, change: Change) -> None:
    before, after = (_short(value) for value in (change.before, change.after))
    console.print(f"    {'.'.join(change.path)}: {before} → {after}", highlight=False, markup=False, soft_wrap=True)
    mark = {"needed": " (needs a full refresh)", "advised": " (may need a full refresh)", "no": ""}
    text = f"        {change.effect}{mark[change.full_refresh]}"
    console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = in_yaml(value)
    return f"{text[:_LONGEST]}..." if len(text) > _LONGEST else text
