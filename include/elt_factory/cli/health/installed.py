"""What is installed: Python, Airflow and the other packages, the plugin, kinds of other packages."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from elt_factory.alerts.kind import NOTIFIERS
from elt_factory.cli.health.found import Found
from elt_factory.config.models.checks import COLUMN_CHECKS, TABLE_CHECKS
from elt_factory.config.models.formats import FORMATS
from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.config.models.sensors import SENSORS
from elt_factory.config.models.source import SOURCES
from elt_factory.core.extras import EXTRAS
from elt_factory.core.kinds import Door, KindError
from elt_factory.warehouse.kind import WAREHOUSES

PACKAGE = "elt-factory"
_RUNNING = EXTRAS.keys() - {"testing"}
_DOORS: tuple[Door[Any], ...] = (
    SOURCES,
    REMOTE_JOBS,
    FORMATS,
    SENSORS,
    COLUMN_CHECKS,
    TABLE_CHECKS,
    NOTIFIERS,
    WAREHOUSES,
)


def python() -> Iterator[Found]:
    """Hold Python's version to the one that the package requires."""
    needed = SpecifierSet(metadata.metadata(PACKAGE)["Requires-Python"])
    version = platform.python_version()
    if needed.contains(version, prereleases=True):
        yield Found("python", "ok", version)
    else:
        yield Found("python", "error", f"{version}, needs {needed}", "make the environment with another Python")


def packages() -> Iterator[Found]:
    """Hold every installed package to what the package requires; Airflow's version is said in any case."""
    required = map(Requirement, metadata.requires(PACKAGE) or ())
    # a package may come with more than one extra
    misfits = dict.fromkeys(misfit for needed in required for misfit in _misfits(needed))
    yield from misfits
    if not misfits:
        yield Found("packages", "ok", f"{PACKAGE} {_version(PACKAGE)}, apache-airflow {_version('apache-airflow')}")


def _misfits(needed: Requirement) -> Iterator[Found]:
    version = _version(needed.name)
    if not _is_asked_for(needed.marker, version):
        return
    pinned = f"{needed.name}{needed.specifier}"
    if not version:
        yield Found("packages", "error", f"{needed.name} is not installed", f"pip install '{pinned}'")
    elif not needed.specifier.contains(version, prereleases=True):
        found = f"{needed.name} {version}, needs {needed.specifier}"
        yield Found("packages", "error", found, f"pip install '{pinned}'")


def _is_asked_for(marker: Marker | None, version: str) -> bool:
    """Whether a requirement holds: one of an extra where it is installed; else what needs it says that it is not."""
    if marker is None or marker.evaluate({"extra": ""}):
        return True
    return bool(version) and any(marker.evaluate({"extra": extra}) for extra in _RUNNING)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def plugin() -> Iterator[Found]:
    """Ask Airflow for what only the plugin gives it: the references of deadlines."""
    from airflow import plugins_manager

    from elt_factory.dag.deadline_references import TimeOfDayDeadline

    for source, problem in plugins_manager.get_import_errors().items():
        if "elt_factory" in f"{source} {problem}":
            yield Found("plugin", "error", f"{source}: {problem}", "fix the error; Airflow loads no broken plugin")
    loaded: list[object] = [*plugins_manager.get_deadline_references_plugins().values()]
    if TimeOfDayDeadline in loaded:
        yield Found("plugin", "ok", "loaded")
    else:
        hint = f"pip install {PACKAGE} into Airflow's environment, or copy plugins/elt_factory_plugin.py"
        yield Found("plugin", "error", "Airflow has not loaded the plugin elt_factory: deadlines by time fail", hint)


def kinds() -> Iterator[Found]:
    """Import every kind of source, sensor and check that another package brings."""
    others = [(door, name) for door in _DOORS for name in door.names() if name not in door.built_in]
    broken = 0
    for door, name in others:
        try:
            door.get(name)
        except KindError as error:
            broken += 1
            yield Found("kinds", "error", str(error), "upgrade or uninstall the package that brings it")
    if not broken:
        yield Found("kinds", "ok", f"{len(others)} of other packages")
