"""The `elt` command in processes that are forked from one that has imported Airflow: each begins where imports end.

Run as a program it is that process: it takes the arguments of a command a line, and ends when its input ends.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

COMMANDS = Path(__file__)
# what a run of a DAG imports, and does not keep open
PRELOADED = (
    "airflow.api_fastapi.execution_api.app",
    "airflow.models.dagbag",
    "airflow.sdk.execution_time.task_runner",
    "cosmos.plugin.airflow3",
    "elt_factory.dag.loader",
    "elt_factory.landing.land",
    "elt_factory.warehouse.duckdb.warehouse",
)


@contextmanager
def elt_commands(environment: Mapping[str, str], folder: Path) -> Iterator["Elt"]:
    """Run commands of `elt` in a folder, with this environment and nothing else of this process."""
    process = subprocess.Popen(
        [sys.executable, str(COMMANDS)],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Elt(process)
        process.stdin.close()


class Elt:
    """Runs one command after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
            self._process.stdin.write(json.dumps([out.name, err.name, *arguments]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, f"the process that runs commands ended with {self._process.wait()}"
            return subprocess.CompletedProcess(arguments, int(answer), out.read(), err.read())


def serve() -> None:
    """Fork a process for each command, and say how it ended."""
    # what imports have to say is no answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from elt_factory.cli import main
    from elt_factory.cli.local import read_metadata_database, use_local_airflow

    # as the command itself does: before Airflow is imported
    read_metadata_database()
    use_local_airflow()
    for name in PRELOADED:
        import_module(name)
    for line in sys.stdin:
        out, err, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(main.main, out, err, arguments)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def _become(command, out: str, err: str, arguments: list[str]) -> None:
    """Be the command, as Python would begin and end it."""
    for descriptor, file in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(file, os.O_RDWR), descriptor)
    sys.argv = ["elt", *arguments]
    code: object = 0
    try:
        command()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as Python itself tells of it
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve()
