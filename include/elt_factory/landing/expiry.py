"""Landings that no load needs any more are removed by age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from elt_factory.landing.manifest import MANIFEST_FILE, known_manifest
from elt_factory.landing.places import Entry, Place


def clean_landings(
    place: Place, project: str, committed: Callable[[], Mapping[str, datetime]], before: datetime
) -> dict[str, int]:
    """Remove the landings of one table whose files are all older than a moment; their bytes by `load id/attempt`.

    A landing is kept while the warehouse does not have it: when its load id is in no commit, or in one of an earlier
    landing. So is one of another project, and one whose manifest cannot be read. `committed` says when the landing of
    each committed load was begun; it is asked only where something is old. What has no manifest is what a killed
    extract or an earlier version left, which no load reads, and goes by age alone.
    """
    old = {name: files for name, files in _by_attempt(place.files()).items() if _all_older(files, before)}
    if not old:
        return {}
    loads, removed = committed(), dict[str, int]()
    for name, files in sorted(old.items()):
        load, _, attempt = name.partition("/")
        if attempt and MANIFEST_FILE in files and _is_needed(place.below(load, attempt), project, loads.get(load)):
            continue
        # without its manifest none of the other files counts
        ordered = sorted(files, key=lambda file: file != MANIFEST_FILE)
        place.below(load).remove([f"{attempt}/{file}".lstrip("/") for file in ordered])
        removed[name] = sum(entry.bytes for entry in files.values())
    return removed


def _by_attempt(files: Mapping[str, Entry]) -> dict[str, dict[str, Entry]]:
    """Files by `load id/attempt`; under a load id alone there is only what an earlier version left."""
    found: dict[str, dict[str, Entry]] = {}
    for path, entry in files.items():
        load, _, rest = path.partition("/")
        attempt, _, name = rest.partition("/")
        if rest:
            found.setdefault(f"{load}/{attempt}" if name else load, {})[name or rest] = entry
    return found


def _all_older(files: Mapping[str, Entry], before: datetime) -> bool:
    return all(entry.modified is not None and entry.modified < before for entry in files.values())


def _is_needed(landing: Place, project: str, committed: datetime | None) -> bool:
    # None: another task was faster, or it cannot be read and people shall look at it
    manifest = known_manifest(landing)
    if manifest is None or manifest.project != project:
        return True
    if committed is None:
        # rejects that a killed replay has landed are brought again from the warehouse
        return manifest.replays is None
    return datetime.fromisoformat(manifest.started_at) > committed


def utc(moment: datetime) -> datetime:
    """Return a moment of the warehouse, which may leave out that it is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def clear_landings(place: Place, project: str) -> dict[str, int]:
    """Remove all landings of a table that is loaded no more; their bytes by `load id/attempt`.

    Those of another project stay, and those whose manifest cannot be read.
    """
    removed: dict[str, int] = {}
    for name, files in sorted(_by_attempt(place.files()).items()):
        load, _, attempt = name.partition("/")
        manifest = known_manifest(place.below(load, attempt)) if MANIFEST_FILE in files and attempt else None
        if MANIFEST_FILE in files and (manifest is None or manifest.project != project):
            continue
        ordered = sorted(files, key=lambda file: file != MANIFEST_FILE)
        place.below(load).remove([f"{attempt}/{file}".lstrip("/") for file in ordered])
        removed[name] = sum(entry.bytes for entry in files.values())
    return removed
