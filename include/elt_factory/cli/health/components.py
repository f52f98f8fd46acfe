"""How the Airflow is that `elt up` started, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.cli.health.found import Found
from elt_factory.cli.local import is_ours
from elt_factory.cli.local_runs import freed
from elt_factory.cli.metadata import shown
from elt_factory.cli.output import short
from elt_factory.cli.running.components import silent
from elt_factory.cli.standalone import failure, home, restarts, running
from elt_factory.core.project import project_root


def airflow() -> Iterator[Found]:
    """Look whether each component reports, and whether one has ended since the start; nothing of another Airflow."""
    if not is_ours(project_root()):
        return
    server, log = running(), short(home() / "standalone.log")
    if server is None:
        yield _not_running(failure())
        return
    if names := silent(server.port):
        yield Found("airflow", "error", f"no sign of life of {', '.join(names)}", f"see {log} in a minute")
    for sentence in restarts():
        yield Found("airflow", "warning", f"{sentence}; it was started again", f"see {log}")
    if not names:
        yield Found(
            "airflow", "ok", f"all components report at http://127.0.0.1:{server.port}; metadata in {shown(home())}"
        )


def runs() -> Iterator[Found]:
    """Look for runs of `elt run` whose process was killed, and free what they hold."""
    sentences = freed()
    for sentence in sentences:
        yield Found("runs", "warning", sentence)
    if not sentences:
        yield Found("runs", "ok", "none of elt run was killed")


def _not_running(why: str) -> Found:
    if why:
        return Found("airflow", "error", why, "fix this, then elt up")
    return Found("airflow", "ok", "not started; elt up starts it")
