"""Making the dbt manifest, and what dbt keeps of a parsed project: `python -m elt_factory.dag.dbt_project`.

dbt takes up what it parsed before only where profile, target and variables are those of then. So this parses as the
tasks do, with the profile of the warehouse connection, and leaves it in target/ next to the manifest: a task copies it
from there and parses only what changed since. The DAG processor and tasks never parse; the bundle has it done by a
process of its own. Readers find whole files at every moment: dbt writes elsewhere, and the files are exchanged.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from elt_factory.core.extras import needs
from elt_factory.core.failures import PermanentError
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_fresh import manifest_file

# As Cosmos runs dbt
_FLAGS = ["--no-static-parser"]
_PARSED = "partial_parse.msgpack"
# A file system's clock may be this much behind: what changes while dbt parses is newer than the manifest
_CLOCK_LAG = 10_000_000


class ParseError(PermanentError):
    """dbt cannot parse the project; its own words came before."""


def parse(folder: Path) -> Path:
    """Parse a dbt project; its manifest.

    Raises:
        ParseError: dbt found a mistake.
    """
    manifest = manifest_file(folder)
    target = manifest.parent
    target.mkdir(exist_ok=True)
    with _alone(target), TemporaryDirectory(dir=target, prefix=".parse-") as scratch:
        began = time.time_ns() - _CLOCK_LAG
        with suppress(FileNotFoundError):
            shutil.copy2(target / _PARSED, scratch)
        _parse_into(Path(scratch), folder)
        os.utime(Path(scratch) / manifest.name, ns=(began, began))
        for name in (_PARSED, manifest.name):
            (Path(scratch) / name).replace(target / name)
    return manifest


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    with (target / ".parsing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parse_into(target: Path, folder: Path) -> None:
    import airflow.sdk  # noqa: F401 - it loads Cosmos' plugin, which must not find Cosmos half imported

    with needs("dbt", "parsing the dbt project"):
        from cosmos.dbt import runner
        from cosmos.dbt.executable import get_system_dbt

    with _profile(folder) as (chosen, variables):
        places = ["--project-dir", str(folder), "--target-path", str(target)]
        command = [get_system_dbt(), "parse", *places, *chosen, *_FLAGS]
        result = runner.run_command(command, dict(variables), str(folder))
    if not result.success:
        raise ParseError(f"dbt cannot parse {folder}: {result.exception or 'see above'}")


@contextmanager
def _profile(folder: Path) -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """Provide the arguments that choose the profile of the tasks, and the variables with its secrets."""
    from elt_factory.dag.dbt_profile import warehouse_profile

    profile = warehouse_profile()
    try:
        variables = profile.profile_mapping.env_vars
    except PermanentError as error:
        # an image is built where no one knows the warehouse: the manifest is as good, the first task parses once more
        sys.stderr.write(f"{error}; parsed with the profile of {folder}\n")
        yield ["--profiles-dir", str(folder)], {}
        return
    with profile.ensure_profile() as (file, _):
        names = ["--profile", profile.profile_name, "--target", profile.target_name]
        yield ["--profiles-dir", str(file.parent), *names], variables


if __name__ == "__main__":
    # what lets Airflow look for connections in its database, outside of tasks
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    sys.stdout.write(f"{parse(Path(sys.argv[1]) if sys.argv[1:] else dbt_folder())}\n")
