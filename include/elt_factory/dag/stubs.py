"""A Python file per YAML: Airflow looks for DAGs in Python files alone, and gives each an import error of its own.

A stub's text follows from its place alone, so it is written once and never goes stale; that its YAML has changed is
signalled by the stub's time. Many processes may do this concurrently: a stub appears complete, and goes with its YAML.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from elt_factory.config.loading import DEFAULTS_FILE, config_files
from elt_factory.config.maintenance import maintenance_files
from elt_factory.core.private import private_files, require_own_way
from elt_factory.dag.neighbours import files_that_look_at
from elt_factory.dag.together import reading

# Airflow reads only files with the words "airflow" and "dag", and imports ahead of time what they import of Airflow
_STUB = '''"""An Airflow DAG generated from a YAML file by elt_factory.dag.stubs. Edit the YAML instead."""

from pathlib import Path

import airflow.sdk

from elt_factory.dag.stubs import dags_of

globals().update(dags_of(Path({configs!r}), Path({file!r})))
'''
_SHARED = ".shared"
_FOLDERS = ".folders"
# A file system's clock may be this much behind; a time too early costs one parse more, one too late loses a change
_CLOCK_LAG = 10_000_000
# Airflow reads a file again whose time is later than the end of its last parse. A parse that read the YAML before it
# changed may end after the stub was marked: so a mark that came early is made once more when such a parse is over
_PARSE_ENDS = 2_000_000_000
# Two changes of a folder within one tick of that clock cannot be distinguished
_SETTLED = 1_000_000_000


class StubFolder:
    """The stubs of a folder of configs.

    Args:
        configs: The folder of the YAML files.
        parent: The folder that holds the folder of stubs.
        shared: Other files that every DAG is drawn from.
    """

    def __init__(self, configs: Path, parent: Path, shared: tuple[Path, ...] = ()) -> None:
        self.configs = configs
        self.shared = shared
        # another text of stubs needs another folder: two versions of this package may run side by side
        digest = hashlib.sha256(f"{configs}\n{_STUB}".encode()).hexdigest()[:12]
        self.path = parent / f"stubs-{digest}"

    def ensure(self) -> None:
        """Make sure that every YAML has its stub: immediately where no folder has changed since someone looked."""
        if not self._all_there():
            self.sync()
        else:
            require_own_way(self.path)

    def sync(self) -> None:
        """Give every YAML its stub, mark the stubs of those that changed, delete those of files that are gone."""
        with private_files():
            self._sync()

    def asked(self) -> Mapping[str, int]:
        """Return when Airflow was last asked to read each file, in nanoseconds since 1970: the times of the stubs."""
        stubs = ((stub, _modified_at(stub)) for stub in map(self._stub_of, self._files()))
        return {str(stub.relative_to(self.path)): marked for stub, marked in stubs if marked is not None}

    def ask(self, files: Iterable[str]) -> None:
        """Ask Airflow to read files, though they have not changed."""
        now = time.time_ns() - _CLOCK_LAG
        for file in files:
            _mark(self.path / file, now)

    def _sync(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        require_own_way(self.path)
        folders = self._folders()
        now = time.time_ns() - _CLOCK_LAG
        shared_changed = self._shared_changed()
        shared_at = max(map(_changed_at, self._shared_files()), default=0)
        changed = []
        for file in self._files():
            stub = self._stub_of(file)
            marked = _modified_at(stub)
            if marked is None:
                self._replace(stub, _STUB.format(configs=str(self.configs), file=str(file)))
                changed.append(file)
            elif shared_changed or _is_due(marked, shared_at, now):
                _mark(stub, now)
            elif _is_due(marked, _changed_at(file), now):
                _mark(stub, now)
                changed.append(file)
        for stub in self._orphans():
            stub.unlink(missing_ok=True)
            changed.append(self.configs / stub.relative_to(self.path).with_suffix(""))
        for file in files_that_look_at(self.configs, changed):
            _mark(self._stub_of(file), now)
        self._note(_FOLDERS, folders)

    def _files(self) -> list[Path]:
        return [*config_files(self.configs), *maintenance_files(self.configs)]

    def _stub_of(self, file: Path) -> Path:
        inside = file.relative_to(self.configs)
        return self.path / inside.with_name(f"{inside.name}.py")

    def _orphans(self) -> Iterator[Path]:
        for stub in self.path.rglob("*.py"):
            # asked of the file itself: it may have come since the folder was listed
            if not os.path.lexists(self.configs / stub.relative_to(self.path).with_suffix("")):
                yield stub

    def _shared_changed(self) -> bool:
        """Whether what all DAGs are drawn from is not what it was when someone last looked."""
        state = "\n".join(f"{_changed_at(file)} {file}" for file in self._shared_files())
        known = self._note(_SHARED, state)
        return known not in (None, state)

    def _shared_files(self) -> list[Path]:
        return sorted({*self.configs.rglob(DEFAULTS_FILE), *self.shared})

    def _all_there(self) -> bool:
        known = _read(self.path / _FOLDERS) or ""
        lines = [line.partition(" ") for line in known.splitlines()]
        return bool(lines) and all(changed == str(_changed_at(Path(folder))) for changed, _, folder in lines)

    def _folders(self) -> str:
        """Return the folders of configs and when files last came to or went from each.

        Nothing while one is still changing.
        """
        places = []
        for place, below, _ in os.walk(self.configs):
            below[:] = [name for name in below if name[0] not in "_."]
            places.append(Path(place))
        changed = [(_changed_at(place), place) for place in places]
        settled = all(moment < time.time_ns() - _SETTLED for moment, _ in changed)
        return "\n".join(f"{moment} {folder}" for moment, folder in changed) if settled else ""

    def _note(self, name: str, text: str) -> str | None:
        """Write down what was seen; what was written there before."""
        known = _read(self.path / name)
        if known != text:
            self._replace(self.path / name, text)
        return known

    def _replace(self, file: Path, text: str) -> None:
        """Write a file so that no one ever sees a part of it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)


def dags_of(configs: Path, file: Path) -> Mapping[str, Any]:
    """Return the DAG of a stub, and those of the other stubs that this process of the DAG processor reads."""
    from elt_factory.dag.loader import load_file, load_files

    stubs = reading()
    if not stubs:
        return {"dag": load_file(configs, file)}
    found = load_files(configs, {stub: configs / Path(stub).with_suffix("") for stub in stubs})
    return {f"dag_{number}": dag for number, dag in enumerate(found.values())}


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_due(marked: int, changed: int, now: int) -> bool:
    """Whether a stub must be marked: not yet, or so soon that an older parse may have ended since."""
    return marked < changed or marked < changed + _PARSE_ENDS <= now


def _mark(stub: Path, moment: int) -> None:
    # gone, or another user's: then it is for others to mark
    with suppress(FileNotFoundError, PermissionError):
        os.utime(stub, ns=(moment, moment))


def _changed_at(file: Path) -> int:
    """When a file's content or name last changed, which no one can set back; 0 where it is gone."""
    try:
        return file.stat().st_ctime_ns
    except OSError:
        return 0


def _modified_at(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None
